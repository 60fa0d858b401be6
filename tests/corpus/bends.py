"""How a sound request is bent until it is no sound HTTP: each way by its name."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Bend = Callable[["Raw", random.Random], bytes]


@dataclass(frozen=True)
class Raw:
    """A sound request in its parts."""

    method: str
    target: str
    headers: tuple[str, ...]
    body: bytes

    def written(
        self,
        *,
        line: bytes | None = None,
        headers: Sequence[str | bytes] | None = None,
        body: bytes | None = None,
        end: bytes = b"\r\n",
    ) -> bytes:
        first = line if line is not None else f"{self.method} {self.target} HTTP/1.1".encode("latin-1")
        said = self.headers if headers is None else headers
        lines = [first, *(each if isinstance(each, bytes) else each.encode("latin-1", "replace") for each in said)]
        return b"".join(each + end for each in lines) + end + (self.body if body is None else body)

    def but(self, name: str, *others: str | bytes) -> list[str | bytes]:
        return [*(each for each in self.headers if not each.lower().startswith(f"{name}:")), *others]

    def chunked(self, body: bytes, *more: str | bytes) -> bytes:
        return self.written(headers=self.but("content-length", "Transfer-Encoding: chunked", *more), body=body)


def _line(form: str) -> Bend:
    return lambda raw, _: raw.written(
        line=form.format(method=raw.method, target=raw.target).encode("latin-1", "replace")
    )


def _header(name: str, *lines: str | bytes) -> Bend:
    return lambda raw, _: raw.written(headers=raw.but(name, *lines))


def _chunks(form: bytes, *more: str) -> Bend:
    def bend(raw: Raw, _: random.Random) -> bytes:
        # Of no body there would be no chunk but the one that ends it.
        body = raw.body or b"{}"
        return raw.chunked(form.replace(b"SIZE", b"%x" % len(body)).replace(b"BODY", body), *more)

    return bend


def _flipped(raw: Raw, chance: random.Random) -> bytes:
    sound = bytearray(raw.written())
    end = bytes(sound).index(b"\r\n\r\n") + 4
    for _ in range(chance.choice([1, 1, 2, 5])):
        sound[chance.randrange(end)] = chance.randrange(256)
    return bytes(sound)


def _lost(raw: Raw, chance: random.Random) -> bytes:
    sound = raw.written()
    at = chance.randrange(len(sound))
    return sound[:at] + sound[at + chance.randrange(1, 9) :]


def _cut(raw: Raw, chance: random.Random) -> bytes:
    sound = raw.written()
    return sound[: chance.randrange(1, len(sound))]


def _put_in(raw: Raw, chance: random.Random) -> bytes:
    sound = raw.written()
    at = chance.randrange(len(sound))
    return (
        sound[:at]
        + chance.choice([b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b" ", b":", b"\t"])
        + sound[at:]
    )


BENDS: dict[str, Bend] = {
    "sound": lambda raw, _: raw.written(),
    "no host": _header("host"),
    "two hosts": _header("host", "Host: 127.0.0.1", "Host: evil.example"),
    "a bad host": _header("host", "Host: evil.example/../"),
    "an empty host": _header("host", "Host:"),
    "version 1.0": _line("{method} {target} HTTP/1.0"),
    "version 0.9": _line("{method} {target}"),
    "version 2": _line("{method} {target} HTTP/2.0"),
    "version 9.9": _line("{method} {target} HTTP/9.9"),
    "no version's name": _line("{method} {target} 1.1"),
    "a letter too many": _line("{method} {target} HTTP/1.1x"),
    "blanks": _line("{method}  {target}  HTTP/1.1"),
    "tabs": _line("{method}\t{target}\tHTTP/1.1"),
    "a blank in the address": _line("{method} {target} x HTTP/1.1"),
    "a small method": lambda raw, _: raw.written(line=f"{raw.method.lower()} {raw.target} HTTP/1.1".encode("latin-1")),
    "a made-up method": _line("SMUGGLE {target} HTTP/1.1"),
    "a method of signs": _line("{method}\x01 {target} HTTP/1.1"),
    "no method": _line(" {target} HTTP/1.1"),
    "a whole address": _line("{method} http://127.0.0.1{target} HTTP/1.1"),
    "another's whole address": _line("{method} http://evil.example{target} HTTP/1.1"),
    "an address without a slash": _line("{method} api HTTP/1.1"),
    "a star": _line("{method} * HTTP/1.1"),
    "a fragment": _line("{method} {target}#a HTTP/1.1"),
    "raw letters in the address": lambda raw, _: raw.written(
        line=f"{raw.method} {raw.target}".encode("latin-1") + "/é漢".encode() + b" HTTP/1.1"
    ),
    "broken letters in the address": _line("{method} {target}/%ff%fe%00%c3 HTTP/1.1"),
    "broken escapes": _line("{method} {target}/%zz%2 HTTP/1.1"),
    "climbing": _line("{method} {target}/../../../../etc/passwd HTTP/1.1"),
    "climbing, escaped": _line("{method} {target}/%2e%2e/%2e%2e%2f%2e%2e HTTP/1.1"),
    "a long address": lambda raw, _: raw.written(line=f"{raw.method} {raw.target}?a={'a' * 70_000} HTTP/1.1".encode()),
    "bare line feeds": lambda raw, _: raw.written(end=b"\n"),
    "bare returns": lambda raw, _: raw.written(end=b"\r"),
    "a blank line first": lambda raw, _: b"\r\n\r\n" + raw.written(),
    "a byte order mark": lambda raw, _: b"\xef\xbb\xbf" + raw.written(),
    "a header without a colon": _header("x", "Nonsense"),
    "a header without a name": _header("x", ": x"),
    "a blank before the colon": _header("content-type", "Content-Type : application/json"),
    "a folded header": _header("x", "X-A: b\r\n c: d"),
    "NUL in a header": _header("x", b"X-A: a\x00b"),
    "a return in a header": _header("x", b"X-A: a\rX-B: b"),
    "other letters in a header": _header("x", "X-A: é".encode(), b"X-Request-ID: \xff\xfe"),
    "a header in letters": _header("x", "Xé: 1".encode()),
    "a long header": _header("x", "X-A: " + "a" * 100_000),
    "a long header's name": _header("x", "X" * 70_000 + ": a"),
    "many headers": _header("x", *(f"X-{n}: a" for n in range(500))),
    "underscores": _header("authorization", "AUTHORIZATION_: x", "X_Forwarded_For: 127.0.0.1"),
    "two keys": lambda raw, _: raw.written(headers=[*raw.headers, "Authorization: Bearer x"]),
    "a key that is no text": _header("authorization", b"Authorization: Bearer \xff\xfe"),
    "two content types": lambda raw, _: raw.written(headers=[*raw.headers, "Content-Type: text/html"]),
    "a length below zero": _header("content-length", "Content-Length: -1"),
    "a length with a sign": lambda raw, _: raw.written(
        headers=raw.but("content-length", f"Content-Length: +{len(raw.body)}")
    ),
    "a length in letters": _header("content-length", "Content-Length: many"),
    "a length too long": _header("content-length", "Content-Length: " + "9" * 40),
    "a length of two": lambda raw, _: raw.written(
        headers=raw.but("content-length", f"Content-Length: {len(raw.body)}, {len(raw.body)}")
    ),
    "two lengths": lambda raw, _: raw.written(
        headers=[*raw.headers, f"Content-Length: {len(raw.body) + 1}"], body=raw.body + b" "
    ),
    "a length too small": lambda raw, _: raw.written(
        headers=raw.but("content-length", f"Content-Length: {max(0, len(raw.body) - 1)}")
    ),
    "a length too large": lambda raw, _: raw.written(
        headers=raw.but("content-length", f"Content-Length: {len(raw.body) + 5}")
    ),
    "a huge length": _header("content-length", "Content-Length: 10000000000"),
    "no length": _header("content-length"),
    "chunks": _chunks(b"SIZE\r\nBODY\r\n0\r\n\r\n"),
    "chunks and a length": lambda raw, _: raw.written(
        headers=[*raw.headers, "Transfer-Encoding: chunked"], body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw.body), raw.body)
    ),
    "chunks and another request": _chunks(b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "chunks without an end": _chunks(b"SIZE\r\nBODY\r\n"),
    "chunks of letters": _chunks(b"zz\r\nBODY\r\n0\r\n\r\n"),
    "chunks below zero": _chunks(b"-1\r\nBODY\r\n0\r\n\r\n"),
    "a huge chunk": _chunks(b"ffffffffffffffff\r\nBODY\r\n0\r\n\r\n"),
    "chunks with words": _chunks(b"SIZE;a=b;c=\"d\"\r\nBODY\r\n0\r\nX-A: b\r\n\r\n"),
    "chunks with a wrong size": _chunks(b"1\r\nBODY\r\n0\r\n\r\n"),
    "chunks twice": _chunks(b"SIZE\r\nBODY\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunks, nearly": lambda raw, _: raw.written(headers=raw.but("content-length", "Transfer-Encoding: xchunked")),
    "gzip, it says": lambda raw, _: raw.written(headers=raw.but("content-length", "Transfer-Encoding: gzip")),
    "something expected": _header("x", "Expect: 100-continue"),
    "an upgrade": _header("x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "a socket": _header("x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
    "HTTP/2": lambda raw, _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + raw.written(),
    "TLS": lambda raw, chance: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500),
    "noise": lambda raw, chance: chance.randbytes(chance.randrange(1, 3000)),
    "garbage behind it": lambda raw, chance: raw.written() + chance.randbytes(200),
    "flipped bytes": _flipped,
    "lost bytes": _lost,
    "cut off": _cut,
    "bytes put in": _put_in,
}  # fmt: skip
AT_RANDOM = ("flipped bytes", "lost bytes", "cut off", "bytes put in")
# Of these the client says that no more is coming. Of whole requests it must not: the server would take it for gone.
ENDS_EARLY = frozenset({"cut off", "a length too large", "chunks without an end", "a chunk too long", "a huge length"})
