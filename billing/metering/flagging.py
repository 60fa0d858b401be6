"""What a guardrail said while a service worked: the one shape in which it stands beside an event."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from billing.kernel import guardrails
from billing.kernel.errors import Invalid
from billing.kernel.guardrails import FLAG_LENGTH_MAX, FLAGS_MAX
from billing.metering import flaws

PAYLOAD_KEY = "guardrails"
_FLAG = re.compile(rf"[a-z][a-z0-9_]{{0,{FLAG_LENGTH_MAX - 1}}}")


class GuardrailInvalid(Invalid):
    """Not a guardrail annotation; ``field`` tells which one and where."""

    code = "guardrail_invalid"


class Guardrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One flag that was raised: ``code`` is what plans and reports know it by, ``subject`` what it was raised about.

    ``subject`` and ``detail`` may be personal; they stand in the event's payload, which can be deleted, and nothing
    reads them.
    """

    code: Annotated[str, Meta(min_length=1, max_length=FLAG_LENGTH_MAX)]
    severity: Literal["info", "low", "medium", "high", "critical"] = "info"
    subject: Annotated[str, Meta(max_length=200)] = ""
    detail: Annotated[str, Meta(max_length=500)] = ""


Raised = str | Mapping[str, Any] | Guardrail


def read(raised: Iterable[Raised], *, path: str = PAYLOAD_KEY) -> tuple[Guardrail, ...]:
    """Check annotations (a bare code will do) and bring their codes into one spelling.

    Raises ``GuardrailInvalid`` for an unknown field or severity, a code that is none, text too long, and too many.
    """
    items = list(raised)
    if len(items) > FLAGS_MAX:
        raise GuardrailInvalid(f"At most {FLAGS_MAX} guardrails fit an event.", field=path)
    return tuple(_read(item, f"{path}[{index}]") for index, item in enumerate(items))


def flags_of(read_before: Iterable[Guardrail]) -> tuple[str, ...]:
    """The flags that stand on the event: each code once, sorted."""
    return guardrails.in_order(each.code for each in read_before)


def payload_of(read_before: Iterable[Guardrail]) -> dict[str, Any] | None:
    """What is kept beside the event; None where nothing was raised."""
    items = [msgspec.to_builtins(each) for each in read_before]
    return {PAYLOAD_KEY: items} if items else None


def _read(item: Raised, path: str) -> Guardrail:
    document = {"code": item} if isinstance(item, str) else item
    try:
        found = msgspec.convert(document if isinstance(document, Mapping) else msgspec.to_builtins(document), Guardrail)
    except (msgspec.ValidationError, TypeError) as error:
        raise GuardrailInvalid(f"{path}: {error}", field=path) from error
    code = guardrails.normalized(found.code)
    if not _FLAG.fullmatch(code):
        reason = "must be letters of a to z, digits and '_', with a letter first"
        raise GuardrailInvalid(f"{path}.code: {reason}", field=f"{path}.code")
    for name, text in (("subject", found.subject), ("detail", found.detail)):
        if not flaws.is_storable(text, len(text)):
            raise GuardrailInvalid(f"{path}.{name} has a NUL or half a character", field=f"{path}.{name}")
    return msgspec.structs.replace(found, code=code)
