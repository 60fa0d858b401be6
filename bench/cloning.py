"""Ten thousand organizations from one that lived through the product's own operations.

Identities of a copy are hashes of the original's and the copy's number, so that rows of all tables still point at each
other. Everything else is equal. The doctor has nothing to say of the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, models

from billing.models import (
    AuditEntry,
    CreditEntry,
    CreditGrant,
    MarketplaceSubscription,
    Organization,
    PlanSpan,
    Subscription,
    SubscriptionPeriod,
    UsageCharge,
    UsageEvent,
    UsageWindow,
)

# What an organization has before its first invoice, each after what it points at.
TABLES: tuple[type[models.Model], ...] = (
    Organization,
    Subscription,
    SubscriptionPeriod,
    PlanSpan,
    MarketplaceSubscription,
    CreditGrant,
    UsageEvent,
    UsageWindow,
    UsageCharge,
    CreditEntry,
    AuditEntry,
)


def clone(original: Organization, numbers: range) -> None:
    """Copy ``original``, once for each number, which its slug ends with."""
    with connection.cursor() as cursor:
        for table in TABLES:
            fields = [
                field
                for field in table._meta.concrete_fields
                if not (field.generated or isinstance(field, models.AutoField))
            ]
            place = "id" if table is Organization else "organization_id"
            columns = ", ".join(f'"{field.column}"' for field in fields)
            values = ", ".join(_value(field) for field in fields)
            cursor.execute(
                f'INSERT INTO "{table._meta.db_table}" ({columns}) SELECT {values} '
                f'FROM "{table._meta.db_table}" original, generate_series(%s, %s) n WHERE original.{place} = %s',
                [numbers.start, numbers.stop - 1, original.id],
            )
        cursor.execute("ANALYZE")


def _value(field: models.Field[object, object]) -> str:
    column = f'original."{field.column}"'
    if field.model is Organization and field.name in ("slug", "name"):
        return f"{column} || '-' || n"
    if field.model is AuditEntry and field.name == "object_id":
        return f"md5({column} || ' ' || n)::uuid::text"
    is_own = field.model is AuditEntry and field.name == "organization_id"
    is_identity = field.primary_key or is_own or (field.is_relation and _is_copied(field))
    return f"md5({column}::text || ' ' || n)::uuid" if is_identity else column


def _is_copied(field: models.Field[object, object]) -> bool:
    tables: Sequence[object] = TABLES
    return field.related_model in tables
