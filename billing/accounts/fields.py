"""What the fields of accounts may hold. Each check raises ``Invalid`` naming its field."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from billing.kernel import ids, money
from billing.kernel.errors import Invalid
from billing.kernel.instants import YEAR_MAX, YEAR_MIN

NAME_LENGTH_MAX = 200
REFERENCE_LENGTH_MAX = 120
EMAIL_LENGTH_MAX = 254
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?", re.ASCII)
# No slash and nothing that a path or a spreadsheet would read as its own.
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@|+~-]{0,119}", re.ASCII)
_REGION = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)


def slug(text: str) -> str:
    """1 to 60 of ``a-z 0-9 -``, not shaped like an id: a slug stands where ids stand."""
    if not _SLUG.fullmatch(text):
        raise Invalid("A slug has 1 to 60 of a-z, 0-9 and inner hyphens.", field="slug")
    if ids.parse_uuid(text) is not None:
        raise Invalid("A slug cannot look like an id.", field="slug")
    return text


def external_id(text: str) -> str:
    if not _EXTERNAL_ID.fullmatch(text):
        raise Invalid(
            "An external id has 1 to 120 of A-Z, a-z, 0-9 and . _ : @ | + ~ -, the first a letter or digit.",
            field="external_id",
        )
    return text


def is_reference(text: str) -> bool:
    """Whether ``text`` could be an organization's id, slug or external id at all."""
    return _EXTERNAL_ID.fullmatch(text) is not None


def name(text: str, *, field: str = "name", length_max: int = NAME_LENGTH_MAX, blank: bool = False) -> str:
    """One line of printable text, without blanks around it."""
    stripped = text.strip()
    if not stripped and not blank:
        raise Invalid("A name is needed.", field=field)
    if len(stripped) > length_max:
        raise Invalid(f"At most {length_max} characters.", field=field)
    if any(unicodedata.category(character) in _UNPRINTABLE for character in stripped):
        raise Invalid("Control characters are refused.", field=field)
    return stripped


# Control, surrogate, unassigned, and the two separators that break a line; format characters (Cf) join letters in
# several scripts and stay.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})


def region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise Invalid(
            "A region has 1 to 40 of a-z, 0-9 and hyphens and starts with a letter.", field="residency_region"
        )
    return text


def zone(text: str) -> str:
    """A name of the IANA time zone database."""
    if text not in _zones():
        raise Invalid("Not a time zone of the IANA database.", field="zone")
    return text


def currency(text: str) -> str:
    if not money.is_currency(text):
        raise Invalid("Not an active ISO 4217 currency code.", field="currency")
    return text


def email(text: str, *, field: str = "email") -> str:
    """An address in lower case: people sign in however they capitalize it."""
    lowered = text.strip().lower()
    try:
        validate_email(lowered)
    except ValidationError as error:
        raise Invalid("Not an e-mail address.", field=field) from error
    if len(lowered) > EMAIL_LENGTH_MAX or not lowered.isprintable():
        raise Invalid("Not an e-mail address.", field=field)
    return lowered


def clock(at: datetime | None, *, is_sandbox: bool) -> datetime | None:
    """A sandbox has a clock, an aware instant; others have none."""
    if is_sandbox and at is None:
        raise Invalid("A sandbox organization needs a clock.", field="clock_at")
    if not is_sandbox and at is not None:
        raise Invalid("Only a sandbox organization has a clock of its own.", field="clock_at")
    if at is not None and at.tzinfo is None:
        raise Invalid("A time needs an offset.", field="clock_at")
    if at is not None and not YEAR_MIN <= at.astimezone(UTC).year <= YEAR_MAX:
        raise Invalid(f"A clock stands between the years {YEAR_MIN} and {YEAR_MAX}.", field="clock_at")
    return at


@cache
def _zones() -> frozenset[str]:
    # Some systems list these beside the places; they mean whatever the machine is set to.
    return frozenset(available_timezones() - {"localtime", "Factory"})
