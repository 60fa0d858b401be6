"""Reading an endpoint's URL: strictly, so that what was checked is what is connected to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from billing.kernel.errors import Invalid
from billing.notifications import addresses
from billing.notifications.addresses import Address

LENGTH_MAX = 2000
PORT_MAX = 65535
# Below it live services that speak before they listen, or obey lines of text: mail, telnet, and so on.
PORT_FREE_MIN = 1024
_PORTS = {"https": 443, "http": 80}
# Visible ASCII without what parsers of URLs disagree about.
_TEXT = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.ASCII)
# urllib also takes what stands before or behind the brackets of an address, and ports with a sign or blanks.
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@]+))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# A last label that some resolver would read as a number makes the whole an IPv4 address in an odd spelling.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_NAME_LENGTH_MAX = 253
_LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa", "onion")


class InvalidUrl(Invalid):
    """Not a URL that messages can be sent to."""

    code = "invalid_url"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect and what to ask for. ``host`` is a name in lower case without its last dot, or an address.

    ``authority`` is the value of the ``Host`` header.
    """

    is_tls: bool
    host: str
    port: int
    authority: str
    path: str

    @property
    def address(self) -> Address | None:
        """The address, where the URL holds one in place of a name."""
        return addresses.parse(self.host)


def parse(url: str, *, allow_local: bool) -> Target:
    """Read ``url``. Raises ``InvalidUrl`` with a sentence, also for an address that messages may not go to.

    ``allow_local`` allows plain HTTP and what ``addresses.is_allowed`` allows with it. A name is not resolved here:
    what it stands for is looked at whenever a message is sent.
    """
    if len(url) > LENGTH_MAX:
        raise _invalid(f"A URL has at most {LENGTH_MAX} characters.")
    if not _TEXT.fullmatch(url):
        raise _invalid("A URL is ASCII without blanks, quotes, brackets or backslashes; write others percent-encoded.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid("Not a URL.") from None
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not allow_local):
        raise _invalid("A URL starts with https://.")
    if "@" in parts.netloc:
        raise _invalid("A URL holds no user name or password: messages are signed instead.")
    if "#" in url:
        raise _invalid("A URL here has no fragment.")
    authority = _AUTHORITY.fullmatch(parts.netloc.lower())
    if authority is None:
        raise _invalid("Not a URL with a host name.")
    usual = _PORTS[parts.scheme]
    port = int(authority["port"] or usual)
    if port != usual and not PORT_FREE_MIN <= port <= PORT_MAX:
        raise _invalid(f"A port is {usual} or {PORT_FREE_MIN} to {PORT_MAX}.")
    if authority["v6"] is not None and not isinstance(addresses.parse(authority["v6"]), IPv6Address):
        raise _invalid("Not an IPv6 address.")
    host = _host(authority["v6"] or authority["name"], allow_local=allow_local)
    shown = f"[{host}]" if ":" in host else host
    return Target(
        is_tls=parts.scheme == "https",
        host=host,
        port=port,
        authority=shown if port == usual else f"{shown}:{port}",
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )


def _host(written: str, *, allow_local: bool) -> str:
    name = written.removesuffix(".")
    address = addresses.parse(name)
    if address is not None:
        if not addresses.is_allowed(address, allow_local=allow_local):
            raise _invalid("Messages are not sent to private, local or reserved addresses.")
        return str(address)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise _invalid("An IPv4 address is four decimal numbers.")
    if len(name) > _NAME_LENGTH_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise _invalid("Not a host name; write an international one in its xn-- form.")
    is_local = len(labels) == 1 or any(f".{name}".endswith(f".{each}") for each in _LOCAL_NAMES)
    if is_local and not allow_local:
        raise _invalid("Messages are not sent to names of this machine or of a private network.")
    return name


def _invalid(sentence: str) -> InvalidUrl:
    return InvalidUrl(sentence, field="url")
