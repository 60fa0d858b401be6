"""What partners and listings may say. Each check raises ``Invalid`` naming its field; none reads the database."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

from billing.accounts import fields
from billing.kernel.errors import Invalid
from marketplace.models import (
    DESCRIPTION_LENGTH_MAX,
    NAME_LENGTH_MAX,
    REASON_LENGTH_MAX,
    SUMMARY_LENGTH_MAX,
    WEBSITE_LENGTH_MAX,
)

# Signs that turn the direction of the text around them: a name could look like another one's.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_is_web_address = URLValidator(schemes=["http", "https"])


@dataclass(frozen=True, slots=True)
class ListingText:
    """What a listing says, apart from its picture. ``plan_code`` empty: it goes with no plan."""

    name: str
    summary: str
    description: str
    category: str
    website: str = ""
    plan_code: str = ""


def checked(text: ListingText) -> ListingText:
    """``text`` without blanks around it and in one spelling of each letter; of category and plan only the form."""
    return ListingText(
        name=line(text.name, field="name", length_max=NAME_LENGTH_MAX),
        summary=line(text.summary, field="summary", length_max=SUMMARY_LENGTH_MAX),
        description=paragraphs(text.description, field="description", length_max=DESCRIPTION_LENGTH_MAX),
        category=text.category.strip(),
        website=website(text.website),
        plan_code=text.plan_code.strip(),
    )


def line(text: str, *, field: str, length_max: int) -> str:
    """One line of printable text."""
    normal = fields.name(unicodedata.normalize("NFC", text), field=field, length_max=length_max)
    _refuse_turns(normal, field)
    return normal


def paragraphs(text: str, *, field: str, length_max: int) -> str:
    """Printable text of several lines, each kind of line end as one; may be empty."""
    normal = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(normal) > length_max:
        raise Invalid(f"At most {length_max} characters.", field=field)
    for each in normal.split("\n"):
        fields.name(each.replace("\t", " "), field=field, length_max=length_max, blank=True)
    _refuse_turns(normal, field)
    return normal


def website(text: str) -> str:
    """An address of the web; may be empty. ``javascript:`` and the like are none, and it carries no password."""
    address = text.strip()
    if not address:
        return ""
    if len(address) > WEBSITE_LENGTH_MAX:
        raise Invalid(f"At most {WEBSITE_LENGTH_MAX} characters.", field="website")
    refusal = Invalid("An address that begins with https:// or http://.", field="website")
    try:
        _is_web_address(address)
        parts = urlsplit(address)
    except (ValidationError, ValueError) as error:
        raise refusal from error
    if parts.username is not None or parts.password is not None or not address.isprintable():
        raise refusal
    return parts.geturl()


def reason(text: str) -> str:
    """A sentence or two for the other side."""
    said = " ".join(text.split())
    if not said:
        raise Invalid("A reason is needed.", field="reason")
    return line(said, field="reason", length_max=REASON_LENGTH_MAX)


def _refuse_turns(text: str, field: str) -> None:
    if _TURNS & set(text):
        raise Invalid("Characters that turn the direction of text are refused.", field=field)
