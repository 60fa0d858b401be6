"""Become another program, as a chosen user, that gets a signal when the process which started it dies.

Run as ``python -I launch.py JSON COMMAND…``. It is a program of its own, rather than a hook between fork
and exec, because such hooks may deadlock in a process that has threads. Standard library only: it must start
in milliseconds.
"""

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(uid: int, gid: int, *, search: bool) -> None:
    """Drop from root to a user; with ``search``, keep the right to pass folders that are closed to that user.

    PostgreSQL refuses to run as root, and a folder of root's is often closed to everybody else. Opening it
    to the world would be a change to what is not ours; one capability for one process is not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if search:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # access(2) ignores capabilities otherwise, and initdb looks for its programs with it.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if search:
        # Reading and searching is enough; containers often withhold that one and grant the wider one.
        for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
            header = _Header(LINUX_CAPABILITY_VERSION_3, 0)
            bit = 1 << capability
            wanted = (_Capabilities * 2)(_Capabilities(bit, bit, bit), _Capabilities(0, 0, 0))
            if libc.capset(ctypes.byref(header), wanted) == 0:
                libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
                break


def end_with_parent(signal: int, parent: int) -> None:
    """Arrange for this process to get ``signal`` when its parent dies; exit at once when that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)


def main() -> None:
    order = json.loads(sys.argv[1])
    command = sys.argv[2:]
    if order["uid"] is not None:
        become(order["uid"], order["gid"], search=order["search"])
    # After the change of user, which would clear it.
    end_with_parent(order["signal"], order["parent"])
    os.execv(command[0], command)  # a list of our own, no shell # nosec B606


if __name__ == "__main__":
    main()
