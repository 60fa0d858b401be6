"""Which addresses a message may be sent to: those of the public internet, and nothing that merely looks like one.

Whoever sets an endpoint's URL makes this server connect to it. Told by tables of our own and not by ``is_global``,
whose answer changed between releases of Python. Source: IANA's special-purpose address registries.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_V4_LOCAL = [IPv4Network(net) for net in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_V4_REFUSED = [
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this network
        "100.64.0.0/10",  # carrier-grade NAT, and one cloud's metadata
        "168.63.129.16/32",  # another cloud's platform address, public by number only
        "169.254.0.0/16",  # link-local: metadata
        "192.0.0.0/24",  # protocol assignments, and one cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
# All that is assigned to the internet lies in here: no loopback, link-local, unique local, multicast, IPv4-mapped or
# NAT64 address does.
_V6_UNICAST = IPv6Network("2000::/3")
_V6_LOCAL = [IPv6Network(net) for net in ("::1/128", "fc00::/7")]
_V6_REFUSED = [
    IPv6Network(net)
    for net in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
        "fd00:ec2::/32",  # metadata
        "fd20:ce::/32",  # metadata
    )
]


def parse(text: str) -> Address | None:
    """The address that ``text`` spells in its one usual form, else None: no octal, hexadecimal, or missing parts."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_allowed(address: Address, *, allow_local: bool) -> bool:
    """Whether a message may go to ``address``. ``allow_local`` adds loopback and private networks, and no metadata."""
    if isinstance(address, IPv4Address):
        if any(address in net for net in _V4_LOCAL):
            return allow_local
        return not any(address in net for net in _V4_REFUSED)
    if address.scope_id is not None or any(address in net for net in _V6_REFUSED):
        return False
    return address in _V6_UNICAST or (allow_local and any(address in net for net in _V6_LOCAL))
