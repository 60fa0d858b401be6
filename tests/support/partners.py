"""Partners, their people and listings, made through the operations."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from django.contrib.auth.models import Group

from billing.accounts import actors
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Actor
from billing.models import User
from marketplace.models import Listing, Partner, PartnerMember, PartnerRole
from marketplace.partners import membership, operations
from marketplace.partners.fields import ListingText
from marketplace.partners.transitions import PARTNER_STEPS, Step
from tests.support.factories import at

NOW = at("2026-03-10 12:00:00")
OPERATOR = actors.operator("ada")
TEXT = ListingText(
    name="Ledger bridge", summary="Posts invoices to a ledger.", description="Every night.", category="integrations"
)
PASSWORD = "correct horse battery 42"
_serial = count(1)


def user(**fields: Any) -> User:
    made = accounts_operations.create_user(email=f"person{next(_serial)}@example.com", password=PASSWORD)
    User.objects.filter(id=made.id).update(**fields)
    made.refresh_from_db()
    return made


def reviewer(*groups: str) -> User:
    """Somebody of the staff group "marketplace", and of others."""
    made = user(is_staff=True)
    made.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in ("marketplace", *groups)))
    return made


def partner(slug: str = "northwind", **fields: Any) -> Partner:
    given: dict[str, Any] = {"slug": slug, "name": slug.title(), "actor": OPERATOR, "now": NOW} | fields
    return membership.create_partner(**given)


def member(of: Partner, role: str = PartnerRole.EDITOR) -> User:
    made = user()
    PartnerMember.objects.create(partner=of, user=made, role=role, created_at=NOW)
    return made


def actor(person: User) -> Actor:
    return actors.for_user(person)


def listing(of: Partner, slug: str = "ledger-bridge", *, text: ListingText = TEXT, by: Actor, **fields: Any) -> Listing:
    given: dict[str, Any] = {"partner": of, "slug": slug, "text": text, "actor": by, "now": NOW} | fields
    return operations.create(**given)


def step(row: Listing, *steps: Step, by: Actor, now: datetime = NOW, reason: str = "") -> Listing:
    """Take ``steps`` in turn; those of reviewers as the operator."""
    for each in steps:
        who = by if each in PARTNER_STEPS else OPERATOR
        row = operations.take(listing=row, step=each, actor=who, now=now, reason=reason)
    return row


def published(of: Partner, slug: str = "ledger-bridge", *, by: Actor, **fields: Any) -> Listing:
    return step(listing(of, slug, by=by, **fields), Step.SUBMIT, Step.PUBLISH, by=by)
