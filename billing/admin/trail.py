"""The audit log as the desk shows it: who did what to an object, by whatever door."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Case, CharField, OuterRef, Q, QuerySet, Subquery, UUIDField, When
from django.db.models.functions import Cast, Substr

from billing.admin.parts import Step, instant
from billing.kernel import ids
from billing.models import AuditEntry, User

SHOWN = 50
DETAILS_LENGTH_MAX = 400


def of_object(object_type: str, object_id: object) -> list[Step]:
    """The last steps, newest first; two queries."""
    return _steps(AuditEntry.objects.filter(object_type=object_type, object_id=str(object_id)))


def of_organization(organization_id: UUID) -> list[Step]:
    """Whatever was done to any object of the organization."""
    return _steps(AuditEntry.objects.filter(organization_id=organization_id).order_by("-recorded_at"))


def names(actors: Iterable[str]) -> dict[str, str]:
    """Actors' names with the addresses of people in place of their ids; one query."""
    found = {actor: actor for actor in actors}
    people = {
        parsed: actor
        for actor in found
        if actor.startswith("user:") and (parsed := ids.parse_uuid(actor.removeprefix("user:"))) is not None
    }
    if people:
        for user_id, email in User.objects.filter(id__in=people).values_list("id", "email"):
            found[people[user_id]] = email
    return found


def _steps(rows: QuerySet[AuditEntry]) -> list[Step]:
    ordered = rows if rows.query.order_by else rows.order_by("-id")
    return [
        Step(instant(entry.recorded_at), entry.email or entry.actor, entry.act, entry.reason, details_of(entry))
        for entry in ordered.annotate(email=_email())[:SHOWN]
    ]


def _email() -> Subquery:
    """The address of a person, found by their id; anybody else has none."""
    person = Case(When(Q(made_by__startswith="user:"), then=Cast(Substr("made_by", 6), UUIDField())))
    people = User.objects.annotate(made_by=Cast(OuterRef("actor"), CharField())).filter(id=person)
    return Subquery(people.values("email")[:1])


def details_of(entry: AuditEntry) -> str:
    if not entry.details:
        return ""
    told = ", ".join(
        f"{name}: {value if isinstance(value, str | int) else json.dumps(value)}"
        for name, value in entry.details.items()
        if value not in (None, "")
    )
    return told if len(told) <= DETAILS_LENGTH_MAX else f"{told[:DETAILS_LENGTH_MAX]}…"
