"""Headers, methods, types of content and keys that are odd."""

from __future__ import annotations

TYPES = (
    "",
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/json;charset=latin-1",
    'application/json; charset="utf-8"',
    "APPLICATION/JSON",
    "application/json, text/plain",
    "application/problem+json",
    "application/*",
    "json",
    "*/*",
    "application/json\x00",
    "application/cloudevents+json",
    "application/merge-patch+json",
    ";",
    "application/json;;;",
)
HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Content-Encoding", ("gzip", "br", "identity", "deflate, gzip", "utf-8")),
    # What is no number the server refuses by itself: that is asked over a socket.
    ("Content-Length", ("0", "1", "10000000000", "9" * 18)),
    (
        "Accept",
        ("text/html", "application/xml", "*/*;q=0", "application/json;q=x", ",", "image/*", "text/csv", "a" * 500),
    ),
    ("Accept-Language", ("xx-YY", "../../etc", "*", "en;q=" + "9" * 50, "\u00e9")),
    ("Accept-Encoding", ("gzip;q=0, *;q=0", "gzip, gzip, gzip", "\x00")),
    ("X-HTTP-Method-Override", ("DELETE", "PUT", "PATCH")),
    ("X-Forwarded-For", ("127.0.0.1", "1.2.3.4, 5.6.7.8", "unknown", "::1", "x" * 500, "'; --")),
    ("X-Forwarded-Host", ("evil.example", "localhost:99999")),
    ("X-Forwarded-Proto", ("https", "javascript")),
    ("Forwarded", ("for=127.0.0.1;host=evil.example", 'for="')),
    ("X-Request-ID", ("a" * 64, "a" * 65, "a b", "a\u00e9", "", "../x", "<script>", "'\"")),
    ("X-CSRFToken", ("", "x", "c" * 32, "c" * 64, "\u00e9" * 32)),
    (
        "If-Match",
        ("*", '"x"', '"<<own.subscription_id>>.1"', '"<<other.subscription_id>>.1"', 'W/"1"', '""', '"' * 300),
    ),
    ("If-None-Match", ("*", '"x"', 'W/"a", "b"', ",,,", '"' * 300)),
    ("If-Modified-Since", ("yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Sat, 99 Foo 9999 99:99:99 GMT")),
    ("Range", ("bytes=0-", "bytes=-1", "bytes=5-1", "bytes=" + "0-1," * 200)),
    (
        "Cookie",
        (
            "sessionid=x",
            "sessionid=" + "a" * 4000,
            "sessionid",
            "=;=;=",
            "csrftoken=\x01; sessionid=\u00e9",
            "messages=x",
        ),
    ),
    ("Origin", ("null", "https://evil.example", "http://[")),
    ("Referer", ("http://[", "javascript:x")),
    (
        "Host",
        ("evil.example", "127.0.0.1:99999", "", "127.0.0.1, evil.example", "[::1", "127.0.0.1/x", "\u00e9", "a" * 300),
    ),
    ("Expect", ("100-continue", "200-ok")),
    ("Transfer-Encoding", ("chunked", "gzip", "identity", "chunked, chunked")),
    ("Upgrade", ("websocket", "h2c")),
    ("Authorization", ("Basic YTpi", "Bearer", "Bearer ", "bearer  x", "Token x", "Bearer \u00e9", "Digest a=b", "")),
)
METHODS = ("HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "GET", "POST", "CONNECT", "get", "PROPFIND", "X" * 50)
