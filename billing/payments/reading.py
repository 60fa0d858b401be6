"""Reading what a provider sent: JSON whose shape nobody promised to us. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from billing.kernel import ids, money
from billing.payments.protocol import EventUnreadable, SignatureInvalid

_EPOCH_MAX = 7_258_118_400  # the year 2200


def envelope(body: bytes) -> Mapping[str, Any]:
    """The event of a delivery whose signature is right. Raises ``SignatureInvalid`` where it is no JSON object.

    NUL and lone surrogates, which no text column takes, are refused here too.
    """
    try:
        document = json.loads(body.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise SignatureInvalid("The body is not a JSON document in UTF-8.") from None
    if not isinstance(document, dict):
        raise SignatureInvalid("The body is not a JSON object.")
    return document


def named(document: Mapping[str, Any], name: str, *, length_max: int) -> str:
    """A short printable text of the envelope. Raises ``SignatureInvalid``."""
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= length_max or not (value.isascii() and value.isprintable()):
        raise SignatureInvalid(f"The event has no {name} that can be read.")
    return value


def created(document: Mapping[str, Any]) -> datetime:
    """When it happened, from unix seconds. Raises ``SignatureInvalid``."""
    value = document.get("created")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _EPOCH_MAX:
        raise SignatureInvalid("The event does not say when it was created.")
    return datetime.fromtimestamp(value, UTC)


class Fields:
    """The members of an object of an event, each as what it must be, else ``EventUnreadable`` naming its path."""

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, dict):
            raise EventUnreadable(f"{path} is not an object")
        self._document: dict[str, Any] = document
        self._path = path

    def text(self, name: str, *, length_max: int = 200) -> str:
        found = self.optional_text(name, length_max=length_max)
        if not found:
            raise EventUnreadable(f"{self._path}.{name} is missing")
        return found

    def optional_text(self, name: str, *, length_max: int = 200) -> str:
        """ "" where it is missing or null."""
        value = self._document.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > length_max or not value.isprintable():
            raise EventUnreadable(f"{self._path}.{name} is not a short printable text")
        return value

    def reference(self, name: str) -> str:
        """The id of another object, given as a text or as that object; "" where it is missing."""
        value = self._document.get(name)
        if isinstance(value, dict):
            return Fields(value, f"{self._path}.{name}").text("id")
        return self.optional_text(name)

    def uuid(self, name: str) -> UUID | None:
        text = self.optional_text(name)
        if not text:
            return None
        found = ids.parse_uuid(text)
        if found is None:
            raise EventUnreadable(f"{self._path}.{name} is not an id of ours")
        return found

    def flag(self, name: str) -> bool:
        value = self._document.get(name)
        if value is not None and not isinstance(value, bool):
            raise EventUnreadable(f"{self._path}.{name} is not true or false")
        return bool(value)

    def amount(self, name: str) -> int:
        value = self._document.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= money.AMOUNT_MAX_MINOR:
            raise EventUnreadable(f"{self._path}.{name} is not an amount")
        return value

    def currency(self, name: str = "currency") -> str:
        value = self.text(name, length_max=3).upper()
        if not money.is_currency(value):
            raise EventUnreadable(f"{self._path}.{name} is not a currency")
        return value

    def object(self, name: str) -> Fields:
        """An empty one where it is missing or null."""
        value = self._document.get(name)
        return Fields({} if value is None else value, f"{self._path}.{name}")

    def objects(self, name: str) -> list[Fields]:
        value = self._document.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise EventUnreadable(f"{self._path}.{name} is not a list")
        return [Fields(item, f"{self._path}.{name}[{index}]") for index, item in enumerate(value)]
