"""What a tenant's owners and admins see of its plan, and change."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.problems import invalid_field
from billing.api.providers import LinkDocument, return_address
from billing.api.wire import Nothing, Request
from billing.models import Organization
from billing.payments import links
from billing.reporting import tenant_state
from billing.reporting.shapes import TenantStateDocument, TenantUsageDocument
from billing.service import BillingService

TAG = "tenant"
AFTERWARDS = "/dashboard/"

Reference = Annotated[str, Meta(min_length=1, max_length=120)]


class Tenant(Request, frozen=True):
    """Which organization. Implied by its key, and for a person who is in one only."""

    organization: Reference | None = None


class PortalQuery(Request, frozen=True):
    organization: Reference | None = None
    return_url: Annotated[str, Meta(min_length=1, max_length=500)] = AFTERWARDS


class UpdatePlan(Request, frozen=True):
    """At least one of the three. ``renewal_date`` is a day in the organization's zone."""

    plan_code: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    status: Annotated[str, Meta(min_length=1, max_length=12)] | None = None
    renewal_date: date | None = None


class TenantState(ApiView):
    @endpoint("Read the plan state", responses={200: TenantStateDocument}, act=Act.SUBSCRIBE, tag=TAG)
    def get(self, call: Call[Nothing, Tenant]) -> Answer:
        """Plan, subscription status, renewal date and the plan's limits.

        For owners and admins, keys that may choose plans, and operators of subscriptions.
        """
        organization = _tenant(call, call.query.organization)
        return Answer(200, tenant_state.state_document(BillingService.get_plan_status(organization)))


class TenantUsage(ApiView):
    @endpoint("Read usage by event", responses={200: TenantUsageDocument}, act=Act.SUBSCRIBE, tag=TAG)
    def get(self, call: Call[Nothing, Tenant]) -> Answer:
        """For each event that was used: the total, and each calendar month in the organization's zone."""
        organization = _tenant(call, call.query.organization)
        snapshot = BillingService.get_usage_snapshot(organization)
        return Answer(200, tenant_state.usage_document(organization, snapshot))


class UpdateTenantPlan(ApiView):
    @endpoint(
        "Change plan, status or renewal date",
        responses={200: TenantStateDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag=TAG,
        problems=(402, 409),
    )
    def post(self, call: Call[UpdatePlan, Tenant]) -> Answer:
        """All that is named or nothing, in this order, and the state that is then.

        Owners and admins choose a plan on sale; as elsewhere, one that costs less waits for the period's end. A status
        maps to a legal transition, else 409; a renewal date cuts the running period short, with its fee prorated. Both
        of these, and plans that are not on sale, are for operators (scope `subscriptions`).
        """
        organization = _tenant(call, call.query.organization)
        status = BillingService.set_plan_status(
            organization,
            actor=call.actor,
            plan_code=call.body.plan_code,
            status=call.body.status,
            renewal_date=call.body.renewal_date,
            now=call.at,
        )
        return Answer(200, tenant_state.state_document(status))


class TenantPortal(ApiView):
    @endpoint(
        "Link to the payment portal of the tenant",
        responses={200: LinkDocument},
        act=Act.SUBSCRIBE,
        tag=TAG,
        problems=(409, 502),
    )
    def get(self, call: Call[Nothing, PortalQuery]) -> Answer:
        """Where means of payment are managed; the link works for a short time, and leads back to ``return_url``."""
        url = links.portal(
            organization=_tenant(call, call.query.organization),
            return_url=return_address(call.request, call.query.return_url),
            actor=call.actor,
            now=call.at,
        )
        return Answer(200, {"url": call.request.build_absolute_uri(url)})


def _tenant(call: Call[object, object], reference: str | None) -> Organization:
    """The organization meant, which the caller may administer."""
    own = call.caller.organization
    if own is not None:
        organization = own if reference is None else call.find_organization(reference)
    elif reference is not None:
        organization = call.find_organization(reference)
    else:
        organization = accounts_queries.get_organization(str(_only_one(call)))
    call.require(Act.SUBSCRIBE, organization)
    return organization


def _only_one(call: Call[object, object]) -> UUID:
    roles = call.actor.roles
    if len(roles) != 1:
        raise invalid_field("organization", "missing", "is missing: several organizations could be meant")
    return next(iter(roles))
