"""Real connections: where they go, how long they last, and what is made of the answer."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from billing.notifications import sending
from billing.notifications.sending import Reply
from tests.support import receivers
from tests.support.receivers import Receiver

NAME = "hooks.example.com"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receivers.receiver() as made:
        yield made


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(receivers.CERTIFICATE))


def send(
    url: str, *, allow_local: bool = True, resolve: sending.Resolve | None = None, **fields: ssl.SSLContext
) -> Reply:
    headers = {"Content-Type": "application/json", "webhook-id": "m"}
    return sending.send(url, headers=headers, body=b'{"a":1}', allow_local=allow_local, resolve=resolve, **fields)


def never(host: str, port: int) -> list[str]:
    raise AssertionError("nothing to resolve")


def test_the_message_arrives_as_it_is(receiver: Receiver) -> None:
    receiver.body, receiver.answers = b"thanks", [200]
    reply = send(receiver.url + "?a=b%20c", resolve=never)
    assert (reply.error, reply.status_code, reply.excerpt) == ("", 200, "thanks")
    assert 0 <= reply.duration_ms < 5000
    (received,) = receiver.received
    assert (received.path, received.body) == ("/hook?a=b%20c", b'{"a":1}')
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["content-length"] == "7"


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, ""), (204, ""), (299, ""), (300, "redirect"), (304, "redirect"), (400, "status"), (410, "status"),
     (500, "status"), (199, "status")],
)  # fmt: skip
def test_only_2xx_is_success(receiver: Receiver, status: int, error: str) -> None:
    receiver.answers = [status]
    reply = send(receiver.url)
    assert (reply.error, reply.status_code) == (error, status)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with receivers.receiver() as other:
        receiver.answers, receiver.headers = [307], {"Location": other.url}
        assert send(receiver.url).error == "redirect"
        assert not other.received
    assert len(receiver.received) == 1


def test_proxies_of_the_environment_are_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receivers.receiver() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        assert send(receiver.url).error == ""
        assert not proxy.received


def test_of_the_body_500_bytes_are_kept_readable(receiver: Receiver) -> None:
    receiver.answers, receiver.body = [500], b"\x00\xff" + b"x" * 497 + "é".encode() + b"y" * 10_000_000
    reply = send(receiver.url)
    assert reply.excerpt == "\ufffd\ufffd" + "x" * 497 + "\ufffd"


@pytest.mark.parametrize(
    "found", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
def test_a_name_that_stands_for_such_an_address_is_refused(receiver: Receiver, found: str) -> None:
    url = f"https://{NAME}:{receiver.port}/"
    assert send(url, allow_local=False, resolve=lambda *_: [found]).error == "refused_address"
    # One among public ones is enough.
    assert send(url, allow_local=False, resolve=lambda *_: ["8.8.8.8", found]).error == "refused_address"
    assert not receiver.received


def test_a_setting_lets_local_ones_pass_and_no_metadata(receiver: Receiver) -> None:
    url = f"http://{NAME}:{receiver.port}/"
    assert send(url, resolve=lambda *_: ["169.254.169.254"]).error == "refused_address"
    assert send(url, resolve=lambda *_: ["127.0.0.1"]).error == ""
    assert receiver.received[0].headers["host"] == f"{NAME}:{receiver.port}"


def test_a_name_is_looked_up_once_and_that_address_connected_to(receiver: Receiver) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    assert send(f"http://{NAME}:{receiver.port}/", resolve=lambda *_: next(answers)).error == ""
    assert next(answers) == ["127.0.0.2"]


def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver) -> None:
    assert send(f"http://{NAME}:{receiver.port}/", resolve=lambda *_: ["127.0.0.9", "127.0.0.1"]).error == ""


def test_a_refused_url_is_not_even_looked_up() -> None:
    assert send("http://user@127.0.0.1:9000/", resolve=never).error == "refused_url"
    assert send("http://hooks.example.com/", allow_local=False, resolve=never).error == "refused_url"


def test_over_tls_the_name_is_kept_for_certificate_and_server(trusting: ssl.SSLContext) -> None:
    with receivers.receiver(tls=True) as receiver:
        reply = send(f"https://{NAME}:{receiver.port}/x", resolve=lambda *_: ["127.0.0.1"], tls=trusting)
        assert (reply.error, reply.status_code) == ("", 204)
        assert receiver.server_names == [NAME]
        assert receiver.received[0].headers["host"] == f"{NAME}:{receiver.port}"


def test_a_certificate_of_another_name_or_of_nobody_known_is_refused(trusting: ssl.SSLContext) -> None:
    with receivers.receiver(tls=True) as receiver:
        other = f"https://other.example.com:{receiver.port}/"
        assert send(other, resolve=lambda *_: ["127.0.0.1"], tls=trusting).error == "tls"
        assert send(f"https://{NAME}:{receiver.port}/", resolve=lambda *_: ["127.0.0.1"]).error == "tls"
        assert not receiver.received


def test_plain_http_where_tls_is_expected(receiver: Receiver) -> None:
    assert send(f"https://127.0.0.1:{receiver.port}/").error == "tls"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/").error == "unreachable"
    assert send("https://does-not-exist.invalid/").error == "unresolved"
    assert send(f"https://{NAME}/", resolve=lambda *_: []).error == "unresolved"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 1000 High\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"\xff\xfe\x00" * 100,
    ],
    ids=lambda said: said[:20],
)
def test_what_is_no_answer_is_an_error_of_protocol(said: bytes) -> None:
    with receivers.speaker(chunks=[said]) as port:
        reply = send(f"http://127.0.0.1:{port}/")
    assert (reply.error, reply.status_code) == ("protocol", None)


@pytest.mark.parametrize(
    ("rest", "excerpt"),
    [
        (b"Content-Length: 100\r\n\r\nshort", "short"),
        (b"Content-Length: nonsense\r\n\r\nbody", "body"),
        (b"Content-Length: -5\r\n\r\nbody", "body"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "body"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbody", ""),
        (b"Transfer-Encoding: chunked\r\n\r\n-4\r\nbody", ""),
        (b"Content-Encoding: gzip\r\n\r\nnot gzip", "not gzip"),
        (b"X: \xff\xfe\r\n\r\nbody", "body"),
    ],
)
def test_the_status_counts_whatever_the_body_is(rest: bytes, excerpt: str) -> None:
    with receivers.speaker(chunks=[b"HTTP/1.1 200 OK\r\n" + rest]) as port:
        reply = send(f"http://127.0.0.1:{port}/")
    assert (reply.error, reply.status_code) == ("", 200)
    assert reply.excerpt == excerpt


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("chunks", [[], [b"H"]], ids=["silence", "a letter"])
def test_silence_ends_at_the_deadline(scheme: str, chunks: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.5)
    with receivers.speaker(chunks=chunks, end=False) as port:
        started = time.monotonic()
        reply = send(f"{scheme}://127.0.0.1:{port}/")
        assert 0.4 < time.monotonic() - started < 3
    assert (reply.error, reply.status_code) == ("timeout", None)


def test_a_trickle_ends_at_the_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.5)
    trickle = [bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: " + b"x" * 200]
    with receivers.speaker(chunks=trickle, pause_seconds=0.05) as port:
        started = time.monotonic()
        reply = send(f"http://127.0.0.1:{port}/")
        assert 0.4 < time.monotonic() - started < 3
    assert (reply.error, reply.status_code) == ("timeout", None)


def test_a_slow_lookup_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "CONNECT_SECONDS", 0.2)
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: done.wait(5) and [])
    assert send(f"https://{NAME}/").error == "timeout"
    done.set()


def test_nothing_is_left_open(receiver: Receiver) -> None:
    send(receiver.url)
    before = threading.active_count()
    for _ in range(5):
        send(receiver.url)
    deadline = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
