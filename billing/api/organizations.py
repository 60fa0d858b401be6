"""Organizations, their keys, and a sandbox's clock."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.wire import Instant, Nothing, Request
from billing.kernel import ids
from billing.lifecycle import clock
from billing.reporting import representations
from billing.reporting.shapes import HappeningDocument, KeyDocument, NewKeyDocument, OrganizationDocument

Text = Annotated[str, Meta(max_length=254)]


class NewOrganization(Request, frozen=True):
    slug: Text
    name: Text
    residency_region: Text = "eu"
    zone: Text = "UTC"
    currency: Text = "USD"
    external_id: Text | None = None
    billing_email: Text = ""
    is_sandbox: bool = False
    clock_at: Instant | None = None


class NewKey(Request, frozen=True):
    name: Text
    scopes: Annotated[list[Text], Meta(min_length=1, max_length=20)]
    expires_at: Instant | None = None


class ClockAdvance(Request, frozen=True):
    to: Instant


class KeysDocument(TypedDict):
    results: list[KeyDocument]


class ClockDocument(TypedDict):
    organization: OrganizationDocument
    events: list[HappeningDocument]


class Organizations(ApiView):
    @endpoint(
        "Create an organization",
        responses={201: OrganizationDocument},
        act=Act.ORGANIZATIONS,
        idempotent=True,
        tag="organizations",
        problems=(409,),
    )
    def post(self, call: Call[NewOrganization, Nothing]) -> Answer:
        """For platform keys. A sandbox has a clock of its own, ``clock_at``, that only ``clock/advance`` moves."""
        call.require(Act.ORGANIZATIONS, None)
        body = call.body
        organization = accounts_operations.create_organization(
            slug=body.slug,
            name=body.name,
            residency_region=body.residency_region,
            zone=body.zone,
            currency=body.currency,
            external_id=body.external_id,
            billing_email=body.billing_email,
            is_sandbox=body.is_sandbox,
            clock_at=body.clock_at.value if body.clock_at else None,
            actor=call.actor,
        )
        return Answer(201, representations.organization(organization))


class OrganizationDetail(ApiView):
    @endpoint("Read an organization", responses={200: OrganizationDocument}, act=Act.READ, tag="organizations")
    def get(self, call: Call[Nothing, Nothing], organization_ref: str) -> Answer:
        return Answer(200, representations.organization(call.organization(organization_ref, Act.READ)))


class Keys(ApiView):
    @endpoint("List API keys", responses={200: KeysDocument}, act=Act.KEYS, tag="organizations")
    def get(self, call: Call[Nothing, Nothing], organization_ref: str) -> Answer:
        """All keys of the organization, newest first, revoked and expired ones too. Secrets are not shown again."""
        organization = call.organization(organization_ref, Act.KEYS)
        keys = accounts_queries.list_keys(organization)
        return Answer(200, {"results": [representations.key(key) for key in keys]})

    @endpoint("Create an API key", responses={201: NewKeyDocument}, act=Act.KEYS, tag="organizations")
    def post(self, call: Call[NewKey, Nothing], organization_ref: str) -> Answer:
        """The secret is in this answer and nowhere else, so this call takes no ``Idempotency-Key``: a lost answer
        means a key to revoke. Nobody can give a scope that they do not have."""
        organization = call.organization(organization_ref, Act.KEYS)
        expires_at = call.body.expires_at
        key, secret = accounts_operations.create_key(
            organization=organization,
            name=call.body.name,
            scopes=call.body.scopes,
            expires_at=expires_at.value if expires_at else None,
            actor=call.actor,
        )
        return Answer(201, representations.new_key(key, secret))


class KeyDetail(ApiView):
    @endpoint("Revoke an API key", responses={200: KeyDocument}, act=Act.KEYS, tag="organizations")
    def delete(self, call: Call[Nothing, Nothing], organization_ref: str, key_id: str) -> Answer:
        """Counts from the next request on. Revoking twice keeps the first instant."""
        organization = call.organization(organization_ref, Act.KEYS)
        wanted = ids.parse_uuid(key_id)
        if wanted is None:
            raise accounts_queries.KeyNotFound("No such key.")
        key = accounts_queries.get_key(organization, wanted)
        # Keys live by real time, those of a sandbox too.
        return Answer(200, representations.key(accounts_operations.revoke_key(key=key, actor=call.actor, now=call.at)))


class Clock(ApiView):
    @endpoint(
        "Advance a sandbox's clock",
        responses={200: ClockDocument},
        act=Act.CLOCK,
        idempotent=True,
        tag="organizations",
        problems=(409,),
    )
    def post(self, call: Call[ClockAdvance, Nothing], organization_ref: str) -> Answer:
        """Moves the clock forward, does the work that falls due on the way in order, and tells what happened."""
        organization = call.organization(organization_ref, Act.CLOCK)
        happenings = clock.advance(organization=organization, to=call.body.to.value, actor=call.actor)
        moved = accounts_queries.get_organization(str(organization.id))
        events = [representations.happening(**each._asdict()) for each in happenings]
        return Answer(200, {"organization": representations.organization(moved), "events": events})
