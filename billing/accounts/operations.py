"""Writing accounts. Every operation leaves a row in the audit log; none of them decides who may call it but
``create_key``, where a right cannot be handed on by someone who lacks it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.transaction import atomic
from django.utils import timezone

from billing.accounts import actors, fields, queries, tokens
from billing.accounts.actors import Act, Actor
from billing.infra import audit, locks
from billing.kernel.errors import Conflict, Invalid
from billing.models import ApiKey, Organization, User

KEY_NAME_LENGTH_MAX = 120
# How long a form that is sent again is a double click.
ONCE_SECONDS = 60


class OrganizationExists(Conflict):
    """The slug or external id names another organization already."""

    code = "organization_exists"


class KeyMadeAlready(Conflict):
    """The form was sent before, and its key is not shown again."""

    code = "key_made_already"


class UserExists(Conflict):
    """Someone signs in with this address already, however capitalized."""

    code = "user_exists"


@atomic
def create_organization(
    *,
    slug: str,
    name: str,
    actor: Actor,
    residency_region: str = "eu",
    zone: str = "UTC",
    currency: str = "USD",
    external_id: str | None = None,
    billing_email: str = "",
    is_sandbox: bool = False,
    clock_at: datetime | None = None,
) -> Organization:
    """Create a tenant. Raises ``Invalid`` naming the field, or ``OrganizationExists``."""
    organization = Organization(
        slug=fields.slug(slug),
        name=fields.name(name),
        residency_region=fields.region(residency_region),
        zone=fields.zone(zone),
        currency=fields.currency(currency),
        external_id=None if external_id is None else fields.external_id(external_id),
        billing_email=fields.email(billing_email, field="billing_email") if billing_email else "",
        is_sandbox=is_sandbox,
        clock_at=fields.clock(clock_at, is_sandbox=is_sandbox),
    )
    _refuse_names_of_others(organization)
    try:
        with transaction.atomic():
            organization.save(force_insert=True)
    except IntegrityError as error:
        field = "external_id" if "external_id" in str(error).partition("DETAIL")[0] else "slug"
        raise OrganizationExists(f"Another organization has this {field}.", field=field) from error
    audit.record(
        actor=actor.name,
        act="organization.create",
        object_type="organization",
        object_id=organization.id,
        organization_id=organization.id,
        details={"slug": organization.slug, "is_sandbox": is_sandbox},
    )
    return organization


def _refuse_names_of_others(organization: Organization) -> None:
    """Raise ``OrganizationExists`` where the slug is the external id of another organization, or the external id its
    slug or id. Calls that name the other one would mean this one from then on, and no unique index spans columns."""
    locks.lock_names()
    if Organization.objects.filter(external_id=organization.slug).exists():
        raise OrganizationExists("Another organization has this slug as its external id.", field="slug")
    named = None if organization.external_id is None else queries.find_organization(organization.external_id)
    if named is not None and named.external_id != organization.external_id:
        raise OrganizationExists("This external id is another organization's slug or id.", field="external_id")


@atomic
def create_user(*, email: str, password: str, name: str = "") -> User:
    """Create a person who can sign in. Raises ``Invalid`` naming the field (a weak password too) or ``UserExists``."""
    address = fields.email(email)
    user = User(email=address, name=fields.name(name, blank=True))
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from error
    try:
        with transaction.atomic():
            return User.objects.create_user(address, password, name=user.name)
    except IntegrityError as error:
        raise UserExists("Someone signs in with this address already.", field="email") from error


@atomic
def create_key(
    *,
    organization: Organization | None,
    name: str,
    scopes: Iterable[str],
    actor: Actor,
    expires_at: datetime | None = None,
    once: str = "",
) -> tuple[ApiKey, str]:
    """Create a key of ``organization``, or of the platform where that is None. Returns it and its text.

    The text is nowhere stored and cannot be shown again. ``once`` is what a form carries, unguessable and its own: sent
    twice by the same hand within ``ONCE_SECONDS`` it makes one key, and both answers have its text, since the first one
    may never have been seen; after that, or where the key is revoked, it raises ``KeyMadeAlready``.

    Raises ``Invalid`` for a scope that does not exist or that an organization's key cannot carry, and ``Forbidden`` for
    one that ``actor`` does not have.
    """
    granted = _scopes(scopes, organization)
    for scope in granted:
        if not actors.may(actor, scope, organization):
            raise actors.NotAllowed(f"You cannot give the scope {scope.value}, which you do not have.", field="scopes")
    # Keys live by real time, those of a sandbox too.
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("A key cannot expire in the past.", field="expires_at")
    is_sandbox = organization is not None and organization.is_sandbox
    owner = organization.id if organization else "platform"
    secret = (
        tokens.derived(f"{owner}:{actor.name}:{once}", secret=settings.SECRET_KEY, is_sandbox=is_sandbox)
        if once
        else tokens.new(is_sandbox=is_sandbox)
    )
    try:
        with transaction.atomic():
            key = ApiKey.objects.create(
                organization=organization,
                name=fields.name(name, length_max=KEY_NAME_LENGTH_MAX),
                prefix=secret[: tokens.PREFIX_LENGTH],
                digest=tokens.digest(secret),
                scopes=[scope.value for scope in granted],
                expires_at=expires_at,
            )
    except IntegrityError:
        # Only what is derived can be there already.
        return _made_by(secret), secret
    audit.record(
        actor=actor.name,
        act="key.create",
        object_type="api_key",
        object_id=key.id,
        organization_id=organization.id if organization else None,
        details={"prefix": key.prefix, "scopes": key.scopes},
    )
    return key, secret


@atomic
def revoke_key(*, key: ApiKey, actor: Actor, now: datetime) -> ApiKey:
    """Make ``key`` useless from ``now`` on. Revoking twice keeps the first instant and is audited once."""
    revoked = ApiKey.objects.filter(id=key.id, revoked_at__isnull=True).update(revoked_at=now)
    key.refresh_from_db(fields=["revoked_at"])
    if revoked:
        audit.record(
            actor=actor.name,
            act="key.revoke",
            object_type="api_key",
            object_id=key.id,
            organization_id=key.organization_id,
            details={"prefix": key.prefix},
        )
    return key


def _made_by(secret: str) -> ApiKey:
    key = ApiKey.objects.get(digest=tokens.digest(secret))
    if key.revoked_at is not None or timezone.now() - key.created_at > timedelta(seconds=ONCE_SECONDS):
        raise KeyMadeAlready("This form made its key before. Open the page again to make another one.")
    return key


def _scopes(wanted: Iterable[str], organization: Organization | None) -> list[Act]:
    allowed = actors.SCOPES if organization is None else actors.ORGANIZATION_KEY_ACTS
    names = sorted(set(wanted))
    if not names:
        raise Invalid("A key needs at least one scope.", field="scopes")
    unknown = [scope for scope in names if scope not in allowed]
    if unknown:
        choices = ", ".join(sorted(act.value for act in allowed))
        raise Invalid(f"A scope here is one of {choices}.", field="scopes")
    return [Act(scope) for scope in names]
