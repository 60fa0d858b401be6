"""Where a request comes from: the one place that decides it, for what is counted by address and for what is kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings


def of(meta: Mapping[str, Any]) -> str:
    """The client's address by the request's ``META`` and ``BILLING_TRUSTED_PROXIES``; "" where there is none."""
    return decide(
        connection=str(meta.get("REMOTE_ADDR", "")),
        forwarded_for=str(meta.get("HTTP_X_FORWARDED_FOR", "")),
        trusted_proxies=settings.BILLING_TRUSTED_PROXIES,
    )


def decide(*, connection: str, forwarded_for: str, trusted_proxies: int) -> str:
    """Each of one's own proxies appends to ``X-Forwarded-For`` whom it heard: counted from the end, the entry of the
    outermost one names the client. What stands before it, anybody can write.

    Without trusted proxies, and where the header has fewer entries than there are proxies or says no address there, it
    is the connection's own: who came past a proxy is named by the connection, and who came through is not let free.
    """
    entries = forwarded_for.split(",") if forwarded_for else []
    if 0 < trusted_proxies <= len(entries):
        return _plain(entries[-trusted_proxies]) or _plain(connection)
    return _plain(connection)


def _plain(text: str) -> str:
    """The address alone, in its one spelling: no port, no brackets, no zone, IPv4 as itself."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
