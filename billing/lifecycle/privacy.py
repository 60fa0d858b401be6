"""A person's data: told on demand, and taken out on demand. And payloads of use that somebody wants forgotten.

Evidence stays, and names nobody: audit entries, events and ledgers carry identifiers only. Issued invoices are frozen
with the billing contact that they went to, as the law on invoices wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from billing.accounts import actors
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Invalid, NotFound
from billing.models import (
    AuditEntry,
    Invitation,
    Invoice,
    Mail,
    MailStatus,
    MarketplaceSubscription,
    Membership,
    Organization,
    Role,
    UsageEvent,
    UsageEventPayload,
    User,
)

# Reserved for what is never delivered (RFC 2606).
ERASED_DOMAIN = "erased.invalid"
REASON_LENGTH_MAX = 500
KEYS_MAX = 1000


class PersonNotFound(NotFound):
    """Nobody signs in with this address, and no organization has it as billing contact."""


class SoleOwner(Conflict):
    """The person is the only owner of an organization: somebody else has to own it first."""

    code = "sole_owner"


def export(*, email: str, actor: Actor) -> dict[str, Any]:
    """All that is held of the person with this address, as plain JSON. For operators. Raises ``PersonNotFound``."""
    actors.require(actor, Act.ORGANIZATIONS, None)
    user, contacts = _find(email)
    acts = AuditEntry.objects.filter(actor=f"user:{user.id}") if user else AuditEntry.objects.none()
    memberships = Membership.objects.filter(user=user).select_related("organization") if user else ()
    mails = Mail.objects.filter(to__iexact=email).order_by("id")
    invoices = Invoice.objects.filter(customer__billing_email__iexact=email).order_by("number")
    elsewhere = [each.export(user) for each in _others()] if user else []
    return {
        "person": None
        if user is None
        else {
            "id": str(user.id),
            "email": user.email,
            "name": user.name,
            "is_active": user.is_active,
            "is_staff": user.is_staff,
            "joined_at": user.date_joined.isoformat(),
            "last_login_at": user.last_login.isoformat() if user.last_login else None,
        },
        "memberships": [
            {"organization": each.organization.slug, "role": each.role, "since": each.created_at.isoformat()}
            for each in memberships
        ],
        "invitations": [
            {"organization": each.organization.slug, "role": each.role, "created_at": each.created_at.isoformat()}
            for each in Invitation.objects.filter(email__iexact=email).select_related("organization").order_by("id")
        ],
        "second_factors": [
            {"type": each.type, "since": each.created_at.isoformat()}
            for each in (Authenticator.objects.filter(user=user).order_by("id") if user else ())
        ],
        "billing_contact_of": [each.slug for each in contacts],
        "mails": [
            {"kind": each.kind, "about": each.about, "status": each.status, "created_at": each.created_at.isoformat()}
            for each in mails
        ],
        "invoices": [each.number for each in invoices],
        "sla_acceptances": [each.sla_acceptance for each in _accepted(user)] if user else [],
        "acts": [
            {
                "at": each.recorded_at.isoformat(),
                "act": each.act,
                "object": f"{each.object_type}:{each.object_id}",
                "reason": each.reason,
            }
            for each in acts.order_by("recorded_at", "id")
        ],
    } | {name: rows for found in elsewhere for name, rows in found.items()}


def erase(*, email: str, actor: Actor, reason: str) -> dict[str, int]:
    """Take out what names the person with this address; returns how many rows of what. For operators.

    The account stays as a row without a name that nobody can sign in to, so that what it did keeps an author. What was
    to be sent to the address is not sent. Twice is not found. Raises ``PersonNotFound``, ``SoleOwner``, ``Invalid``.
    """
    actors.require(actor, Act.ORGANIZATIONS, None)
    why = _checked(reason)
    with transaction.atomic():
        user, contacts = _find(email)
        gone = {
            "mails": _forget_mails(email),
            "billing_contacts": _forget_contacts(contacts),
            "invitations": _forget_invitations(email),
            "memberships": 0,
        }
        if user is not None:
            gone["memberships"] = _forget_user(user)
            for each in _others():
                gone |= each.forget(user)
        audit.record(
            actor=actor.name,
            act="person.erase",
            object_type="user",
            object_id=user.id if user else "contact",
            organization_id=None,
            reason=why,
            details=gone,
        )
    return gone


def forget_payloads(
    *,
    organization: Organization,
    actor: Actor,
    reason: str,
    keys: Sequence[str] = (),
    before: datetime | None = None,
) -> int:
    """Drop what callers attached to uses: of these keys, or of all that occurred before ``before``; returns how many.

    Windows, charges, invoices and ledgers never read it and stay as they are. Raises ``Invalid``.
    """
    actors.require(actor, Act.USAGE, organization)
    why = _checked(reason)
    if bool(keys) == (before is not None) or len(keys) > KEYS_MAX:
        raise Invalid(f"Name up to {KEYS_MAX} keys, or a time before which all goes.", field="keys")
    events = UsageEvent.objects.filter(organization=organization)
    events = events.filter(key__in=list(keys)) if keys else events.filter(occurred_at__lt=before)
    with transaction.atomic():
        count, _ = UsageEventPayload.objects.filter(
            organization=organization, event_id__in=events.values("id")
        ).delete()
        audit.record(
            actor=actor.name,
            act="usage.forget",
            object_type="organization",
            object_id=organization.id,
            organization_id=organization.id,
            reason=why,
            details={"payloads": count},
        )
    return count


class Holder(Protocol):
    """What another app holds of a person: a module that its configuration names as ``personal_data``."""

    def export(self, user: User) -> dict[str, list[dict[str, str]]]:
        """By what it is, as plain JSON."""

    def forget(self, user: User) -> dict[str, int]:
        """Take it out, and say how many rows of what that were."""


def _others() -> list[Holder]:
    named = [getattr(config, "personal_data", "") for config in apps.get_app_configs()]
    return [cast(Holder, import_module(name)) for name in named if name]


def _find(email: str) -> tuple[User | None, list[Organization]]:
    if not email or "\x00" in email:
        raise PersonNotFound("Nobody is known by this address.")
    user = User.objects.filter(email__iexact=email).first()
    contacts = list(Organization.objects.filter(billing_email__iexact=email).order_by("slug"))
    named = (Mail.objects.filter(to__iexact=email), Invitation.objects.filter(email__iexact=email))
    if user is None and not contacts and not any(rows.exists() for rows in named):
        raise PersonNotFound("Nobody is known by this address.")
    return user, contacts


def _accepted(user: User) -> QuerySet[MarketplaceSubscription]:
    accounts = MarketplaceSubscription.objects.filter(sla_acceptance__accepted_by=f"user:{user.id}")
    return accounts.order_by("subscription_id")


def _checked(reason: str) -> str:
    text = reason.strip()
    if not text or len(text) > REASON_LENGTH_MAX:
        raise Invalid(f"A reason of 1 to {REASON_LENGTH_MAX} characters is needed.", field="reason")
    return text


def _forget_mails(email: str) -> int:
    mails = Mail.objects.filter(to__iexact=email)
    pending = mails.filter(status=MailStatus.PENDING).update(
        status=MailStatus.SKIPPED, reason="The address was erased.", next_attempt_at=None, to=""
    )
    return pending + mails.exclude(status=MailStatus.PENDING).update(to=f"mail@{ERASED_DOMAIN}")


def _forget_invitations(email: str) -> int:
    asked = Invitation.objects.filter(email__iexact=email)
    asked.filter(accepted_at__isnull=True, revoked_at__isnull=True).update(revoked_at=timezone.now())
    return asked.update(email=f"invitation@{ERASED_DOMAIN}")


def _forget_contacts(organizations: Sequence[Organization]) -> int:
    return Organization.objects.filter(id__in=[each.id for each in organizations]).update(billing_email="")


def _forget_user(user: User) -> int:
    ids = Membership.objects.filter(user=user).values_list("organization_id", flat=True)
    # Two owners who leave at once would otherwise each see the other one left.
    locks.lock_organizations(ids)
    owned = Membership.objects.filter(user=user, role=Role.OWNER).select_related("organization")
    for each in owned.order_by("organization_id"):
        others = Membership.objects.filter(organization=each.organization, role=Role.OWNER).exclude(user=user)
        if not others.exists():
            raise SoleOwner(f"This person is the only owner of {each.organization.slug}.")
    count, _ = Membership.objects.filter(user=user).delete()
    for account in _accepted(user):
        account.sla_acceptance = (account.sla_acceptance or {}) | {"from": ""}
        account.save(update_fields=["sla_acceptance"])
    user.email = f"{user.id}@{ERASED_DOMAIN}"
    user.name = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.cleared_regions = []
    user.last_login = None
    user.set_unusable_password()
    user.save()
    # Addresses that they signed in with or meant to, and what they proved themselves by.
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    user.groups.clear()
    user.user_permissions.clear()
    # A session is opaque until it is decoded; there are as many as there are people signed in.
    for session in Session.objects.iterator(chunk_size=1000):
        if session.get_decoded().get("_auth_user_id") == str(user.id):
            session.delete()
    return count
