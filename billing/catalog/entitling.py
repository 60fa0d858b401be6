"""Entitlements of a plan, from the documented short form (``limits``) and the full form (``entitlements``)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, cast

from billing.catalog import pricing
from billing.catalog.fields import Fields, Reader, is_null
from billing.catalog.problems import Problems
from billing.catalog.schema import EntitlementSpec
from billing.catalog.tree import Mapping, Node, Scalar
from billing.kernel.guardrails import FLAGS_MAX, Rule
from billing.kernel.periods import Cadence

_CADENCE_BY_SUFFIX = {
    "_per_day": Cadence.DAILY,
    "_per_week": Cadence.WEEKLY,
    "_per_month": Cadence.MONTHLY,
    "_per_period": Cadence.PERIOD,
}
_METERED_KEYS = ("limit", "cadence", "on_limit", "credits_per_unit", "overage_price", "guardrails")
EACH_MAX = 200


def cadence_of(key: str) -> Cadence:
    """The cadence that the name of a short-form limit tells: ``max_x_per_month`` is monthly, ``max_x`` for life."""
    return next((cadence for suffix, cadence in _CADENCE_BY_SUFFIX.items() if key.endswith(suffix)), Cadence.NEVER)


def read_all(limits: Node | None, entitlements: Node | None, where: str, problems: Problems) -> list[EntitlementSpec]:
    """Both forms of one plan, in the file's order; a key in both is a problem."""
    found: dict[str, EntitlementSpec] = {}
    for spec in (
        *_each(limits, where, "limits", problems),
        *_each(entitlements, where, "entitlements", problems),
    ):
        if spec.key in found:
            first = found[spec.key].line
            problems.add(spec.line, f"{where}: {spec.key!r} is in limits (line {first}) and in entitlements")
        else:
            found[spec.key] = spec
    return list(found.values())


def _each(node: Node | None, where: str, form: str, problems: Problems) -> Iterator[EntitlementSpec]:
    reader = Reader(problems)
    mapping = reader.mapping(node, f"{where}: {form}") if node is not None else None
    if mapping is None:
        return
    if len(mapping.entries) > EACH_MAX:
        problems.add(mapping.line, f"{where}: {form} has more than {EACH_MAX} entries")
        return
    for key, entry in mapping.entries.items():
        if not reader.is_code(key, entry.line, f"{where}: {form}:"):
            continue
        label = f"{where}: {key}"
        if isinstance(entry.value, Mapping):
            if form == "limits":
                reader.misfit(entry.value, label, "a limit, null, true or false; the full form goes under entitlements")
                yield EntitlementSpec(key, "metered", line=entry.line)
            else:
                yield _full(key, entry.line, Fields(entry.value, label, problems))
        else:
            yield _short(key, entry.line, entry.value, label, reader)


def _short(key: str, line: int, node: Node, label: str, reader: Reader) -> EntitlementSpec:
    if isinstance(node, Scalar) and node.kind == "boolean":
        return EntitlementSpec(key, "boolean", enabled=node.text.lower() == "true", line=line)
    limit: Decimal | None = None
    if isinstance(node, Scalar) and node.kind in ("integer", "number", "text"):
        limit = reader.decimal(node, label)
    elif not is_null(node):
        reader.misfit(node, label, "a limit, null, true or false")
    return EntitlementSpec(key, "metered", limit=limit, cadence=cadence_of(key), line=line)


def _full(key: str, line: int, fields: Fields) -> EntitlementSpec:
    enabled = fields.node("enabled")
    given = [name for name in _METERED_KEYS if name in fields.mapping.entries]
    if enabled is not None:
        value = fields.reader.flag(enabled, fields.label("enabled"))
        fields.asked.extend(_METERED_KEYS)
        if given:
            reason = f"{fields.where}: {given[0]} is for metered entitlements, enabled for boolean ones"
            fields.problems.add(fields.line_of(given[0]), reason)
        fields.finish()
        return EntitlementSpec(key, "boolean", enabled=bool(value), line=line)
    limit = fields.node("limit")
    if limit is None:
        fields.problems.add(line, f"{fields.where} needs limit (a number, or null for unlimited) or enabled")
    cadence = fields.choice("cadence", [cadence.value for cadence in Cadence], default=cadence_of(key).value)
    on_limit = fields.choice("on_limit", ("block", "overage"), default="block")
    credits_per_unit = fields.decimal("credits_per_unit")
    prices = fields.node("overage_price")
    guardrails = fields.node("guardrails")
    spec = EntitlementSpec(
        key,
        "metered",
        limit=fields.reader.decimal(limit, fields.label("limit")) if limit is not None and not is_null(limit) else None,
        cadence=Cadence(cadence),
        on_limit=cast(Literal["block", "overage"], on_limit),
        credits_per_unit=credits_per_unit,
        overage_prices=pricing.read(prices, fields) if prices is not None else (),
        guardrails=_guardrails(guardrails, fields) if guardrails is not None else {},
        line=line,
    )
    fields.finish()
    return spec


def _guardrails(node: Node, fields: Fields) -> dict[str, Rule]:
    label = fields.label("guardrails")
    mapping = fields.reader.mapping(node, label)
    entries = mapping.entries if mapping else {}
    if len(entries) > FLAGS_MAX:
        fields.problems.add(node.line, f"{label} has more than {FLAGS_MAX} entries")
        return {}
    rules = {}
    for flag, entry in entries.items():
        rule = fields.reader.choice(entry.value, f"{label}: {flag[:60]}", list(Rule))
        if fields.reader.is_code(flag, entry.line, f"{label}:") and rule is not None:
            rules[flag] = Rule(rule)
    return rules
