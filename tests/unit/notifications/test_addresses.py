"""Address by address, what a message may be sent to."""

from ipaddress import ip_address

import pytest

from billing.notifications import addresses

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
    "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:800::200e", "2001:4860:4860::8888", "2001:200::", "3ffe::1",
]  # fmt: skip
# Private and loopback: for development only.
LOCAL = [
    "10.0.0.0", "10.255.255.255", "127.0.0.1", "127.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
    "192.168.255.255", "::1", "fc00::1", "fdff:ffff::1",
]  # fmt: skip
NEVER = {
    "this network": ["0.0.0.0", "0.1.2.3"],  # noqa: S104 - refused, not bound
    "carrier-grade NAT": ["100.64.0.0", "100.100.100.200", "100.127.255.255"],
    "link-local and metadata": ["169.254.0.0", "169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0"],
    "metadata elsewhere": ["fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "192.0.0.192"],
    "documentation": ["192.0.2.1", "198.51.100.7", "203.0.113.7", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.0", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "reserved and broadcast": ["240.0.0.0", "255.255.255.255", "::2", "4000::1", "5f00::1"],
    "unspecified": ["::"],
    "deprecated site-local": ["fec0::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"],
    "6to4 and Teredo": ["2002:7f00:1::", "2002:808:808::", "2001::1", "192.88.99.1"],
    "discard-only": ["100::1"],
    "with a scope": ["2606:4700::1%eth0"],
}


@pytest.mark.parametrize("text", PUBLIC)
def test_the_internet_is_allowed(text: str) -> None:
    assert addresses.is_allowed(ip_address(text), allow_local=False)
    assert addresses.is_allowed(ip_address(text), allow_local=True)


@pytest.mark.parametrize("text", LOCAL)
def test_private_and_loopback_are_allowed_by_setting_only(text: str) -> None:
    assert not addresses.is_allowed(ip_address(text), allow_local=False)
    assert addresses.is_allowed(ip_address(text), allow_local=True)


@pytest.mark.parametrize("text", [text for texts in NEVER.values() for text in texts])
def test_the_rest_is_never_allowed(text: str) -> None:
    assert not addresses.is_allowed(ip_address(text), allow_local=False)
    assert not addresses.is_allowed(ip_address(text), allow_local=True)


@pytest.mark.parametrize(
    "text", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "010.0.0.1", "1.2.3.4 ", "１.1.1.1"]
)
def test_odd_spellings_are_no_addresses(text: str) -> None:
    assert addresses.parse(text) is None
