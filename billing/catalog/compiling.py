"""Loading a plan version for decisions, in one statement and hence as of one instant."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db import connection

from billing.catalog.compiled import BooleanGuard, CompiledPlan, MeteredGuard, MeterGuards, Price
from billing.kernel.guardrails import Rule
from billing.kernel.periods import Cadence
from billing.models import Plan

_LOAD = """
SELECT json_build_object(
    'id', plan.id, 'code', plan.code, 'version', plan.version, 'product', plan.product,
    'content_digest', plan.content_digest,
    'credit_rates', coalesce((
        SELECT json_object_agg(currency, credit_rate::text) FROM billing_plan_prices
        WHERE plan_id = plan.id AND credit_rate IS NOT NULL), '{}'),
    'entitlements', coalesce((
        SELECT json_agg(json_build_object(
            'id', entitlement.id, 'key', entitlement.key, 'kind', entitlement.kind, 'meters', entitlement.meters,
            'enabled', entitlement.enabled, 'limit', entitlement.limit::text, 'cadence', entitlement.cadence,
            'on_limit', entitlement.on_limit, 'credits_per_unit', entitlement.credits_per_unit::text,
            'guardrails', entitlement.guardrails,
            'prices', coalesce((
                SELECT json_object_agg(currency, json_build_array(rate::text, per::text, model, tiers))
                FROM billing_entitlement_prices WHERE entitlement_id = entitlement.id), '{}'))
            ORDER BY entitlement.position, entitlement.key)
        FROM billing_plan_entitlements entitlement WHERE entitlement.plan_id = plan.id), '[]')
)::text
FROM billing_plans plan WHERE plan.id = %s
"""


class _Entitlement(msgspec.Struct):
    id: UUID
    key: str
    kind: str
    meters: tuple[str, ...]
    enabled: bool
    limit: Decimal | None
    cadence: Cadence
    on_limit: str
    credits_per_unit: Decimal
    prices: dict[str, Price]
    guardrails: dict[str, Rule]


class _Plan(msgspec.Struct):
    id: UUID
    code: str
    version: int
    product: str
    content_digest: str
    credit_rates: dict[str, Decimal]
    entitlements: list[_Entitlement]


_decode = msgspec.json.Decoder(_Plan).decode


def compile_plan(plan_id: UUID) -> tuple[CompiledPlan, str]:
    """The plan version and the digest of just that content. Raises ``Plan.DoesNotExist``."""
    with connection.cursor() as cursor:
        cursor.execute(_LOAD, [plan_id])
        row = cursor.fetchone()
    if row is None:
        raise Plan.DoesNotExist(str(plan_id))
    plan = _decode(row[0])
    booleans: dict[str, list[BooleanGuard]] = defaultdict(list)
    metered: dict[str, list[MeteredGuard]] = defaultdict(list)
    for entitlement in plan.entitlements:
        for meter in entitlement.meters:
            if entitlement.kind == "boolean":
                booleans[meter].append(BooleanGuard(entitlement.key, entitlement.enabled))
            else:
                metered[meter].append(_metered(entitlement))
    compiled = CompiledPlan(
        id=plan.id,
        code=plan.code,
        version=plan.version,
        product=plan.product,
        credit_rates=plan.credit_rates,
        guards_by_meter={
            # Blocking limits are asked before the one that turns into overage.
            meter: MeterGuards(
                tuple(booleans[meter]), tuple(sorted(metered[meter], key=lambda guard: not guard.blocks))
            )
            for meter in sorted({*booleans, *metered})
        },
        meters_by_key={entitlement.key: entitlement.meters for entitlement in plan.entitlements},
        booleans={
            entitlement.key: entitlement.enabled for entitlement in plan.entitlements if entitlement.kind == "boolean"
        },
    )
    return compiled, plan.content_digest


def _metered(entitlement: _Entitlement) -> MeteredGuard:
    return MeteredGuard(
        entitlement_id=entitlement.id,
        key=entitlement.key,
        limit=entitlement.limit,
        cadence=entitlement.cadence,
        blocks=entitlement.on_limit == "block",
        credits_per_unit=entitlement.credits_per_unit,
        prices=entitlement.prices,
        guardrails=entitlement.guardrails,
    )
