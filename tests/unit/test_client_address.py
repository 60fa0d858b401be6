"""Whose address a request is taken to come from."""

from __future__ import annotations

import pytest

from billing.infra.client_address import decide

HERE = "192.0.2.10"


@pytest.mark.parametrize(
    ("forwarded_for", "proxies", "expected"),
    [
        ("", 0, HERE),
        ("", 1, HERE),
        ("203.0.113.7", 0, HERE),
        ("203.0.113.7", 1, "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", 1, "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 192.0.2.1", 2, "203.0.113.7"),
        # Fewer entries than proxies: somebody came past one of them.
        ("203.0.113.7", 2, HERE),
        ("unknown", 1, HERE),
        ("198.51.100.1,", 1, HERE),
        ("203.0.113.7:4711", 1, "203.0.113.7"),
        ("[2001:db8::7]:443", 1, "2001:db8::7"),
        ("2001:DB8:0:0::7", 1, "2001:db8::7"),
        ("fe80::7%eth0", 1, "fe80::7"),
        ("::ffff:203.0.113.7", 1, "203.0.113.7"),
        ("\x00", 1, HERE),
    ],
)
def test_whose_address(forwarded_for: str, proxies: int, expected: str) -> None:
    assert decide(connection=HERE, forwarded_for=forwarded_for, trusted_proxies=proxies) == expected


def test_a_connection_without_an_address() -> None:
    """As over a Unix socket."""
    assert decide(connection="", forwarded_for="", trusted_proxies=0) == ""
    assert decide(connection="", forwarded_for="203.0.113.7", trusted_proxies=1) == "203.0.113.7"
