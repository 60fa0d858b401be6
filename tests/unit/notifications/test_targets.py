"""URLs: how they are read, and all the ways in which they are refused."""

import pytest

from billing.notifications import targets
from billing.notifications.targets import InvalidUrl, Target

READ = {
    "https://hooks.example.com": Target(True, "hooks.example.com", 443, "hooks.example.com", "/"),
    "https://hooks.example.com:443/": Target(True, "hooks.example.com", 443, "hooks.example.com", "/"),
    "HTTPS://Hooks.Example.COM./A?b=c": Target(True, "hooks.example.com", 443, "hooks.example.com", "/A?b=c"),
    "https://hooks.example.com:8443/a%20b/../c?x=%C3%A9&y": Target(
        True, "hooks.example.com", 8443, "hooks.example.com:8443", "/a%20b/../c?x=%C3%A9&y"
    ),
    "https://xn--bcher-kva.example/": Target(True, "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/"),
    "https://8.8.8.8/x": Target(True, "8.8.8.8", 443, "8.8.8.8", "/x"),
    "https://[2606:4700:4700:0::1111]:9000/x": Target(
        True, "2606:4700:4700::1111", 9000, "[2606:4700:4700::1111]:9000", "/x"
    ),
}
LOCAL = {
    "http://127.0.0.1:8000/x": Target(False, "127.0.0.1", 8000, "127.0.0.1:8000", "/x"),
    "http://localhost": Target(False, "localhost", 80, "localhost", "/"),
    "https://receiver.internal:9000": Target(True, "receiver.internal", 9000, "receiver.internal:9000", "/"),
    "http://[::1]:8000": Target(False, "::1", 8000, "[::1]:8000", "/"),
}
REFUSED = [
    # Not what we send to.
    "http://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd", "gopher://hooks.example.com/",
    "hooks.example.com", "//hooks.example.com/", "javascript:alert(1)", "",
    # No host, or one that is written to be read in two ways.
    "https://", "https:///x", "https:hooks.example.com", "https://:443/", "https://user@hooks.example.com/",
    "https://user:pass@hooks.example.com/", "https://hooks.example.com@169.254.169.254/", "https://@hooks.example.com/",
    "https://hooks.example.com\\@8.8.8.8/", "https://hooks.example.com#@8.8.8.8/", "https://hooks.example.com/#x",
    "https://hooks%2eexample.com/", "https://hooks.example.com%00.evil.example/", "https://hooks_x.example.com/",
    "https://-hooks.example.com/", "https://hooks..example.com/", "https://.example.com/", "https://example.com../",
    f"https://{'a' * 64}.example.com/", f"https://{'a.' * 127}example/", "https://bücher.example/", "https://。/",
    # Blanks, control characters and line breaks.
    "https://hooks.example.com/a b", " https://hooks.example.com/", "https://hooks.example.com/\r\nX: y",
    "https://hooks.example.com/\t", "https://hooks.example.com/\x00", "https://hooks.example.com/\x7f",
    'https://hooks.example.com/"', "https://hooks.example.com/é",
    # Ports.
    "https://hooks.example.com:22/", "https://hooks.example.com:25/", "https://hooks.example.com:80/",
    "https://hooks.example.com:0/", "https://hooks.example.com:65536/", "https://hooks.example.com:99999/",
    "https://hooks.example.com:-1/", "https://hooks.example.com:+443/", "https://hooks.example.com:4 43/",
    "https://hooks.example.com:abc/", "https://hooks.example.com:/", "https://hooks.example.com:443:443/",
    "https://hooks.example.com:４４３/",
    # This machine and private networks, by name, by address, and in odd spellings of either.
    "https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://a.localhost/", "https://intranet/",
    "https://db.internal/", "https://metadata.google.internal/", "https://printer.local/", "https://x.home.arpa/",
    "https://127.0.0.1/", "https://127.0.0.1./", "https://127.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.1/", "https://0177.0.0.1/", "https://017700000001/", "https://0/", "https://0.0.0.0/",
    "https://127.0.0.0x1/", "https://127.0.0.0x/", "https://1.2.3/", "https://1.2.3.4.5/", "https://256.1.1.1/",
    "https://a.123/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://224.0.0.1/", "https://255.255.255.255/",
    "https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/",
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:8.8.8.8]/", "https://[64:ff9b::7f00:1]/", "https://[ff02::1]/",
    "https://[8.8.8.8]/", "https://[hooks.example.com]/", "https://[2606:4700::1]x/", "https://x[2606:4700::1]/",
    "https://[2606:4700::1/", "https://2606:4700::1/", "https://[v1.x]/", "https://[]/",
    # Length.
    "https://hooks.example.com/" + "a" * 1975,
]  # fmt: skip


@pytest.mark.parametrize("url", READ)
def test_a_url_is_read(url: str) -> None:
    assert targets.parse(url, allow_local=False) == READ[url]


@pytest.mark.parametrize("url", LOCAL)
def test_local_ones_are_read_by_setting_only(url: str) -> None:
    assert targets.parse(url, allow_local=True) == LOCAL[url]
    with pytest.raises(InvalidUrl):
        targets.parse(url, allow_local=False)


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_anything_else_is_refused_and_names_the_field(url: str) -> None:
    with pytest.raises(InvalidUrl) as refusal:
        targets.parse(url, allow_local=False)
    assert refusal.value.details["field"] == "url"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0:8000/",
        "http://127.1:8000/",
        "http://user@127.0.0.1:8000/",
        "http://127.0.0.1:25/",
    ],
)
def test_some_are_refused_whatever_the_setting(url: str) -> None:
    with pytest.raises(InvalidUrl):
        targets.parse(url, allow_local=True)


def test_the_longest_url() -> None:
    url = "https://hooks.example.com/" + "a" * 1974
    assert len(url) == targets.LENGTH_MAX
    assert targets.parse(url, allow_local=False).path == "/" + "a" * 1974
