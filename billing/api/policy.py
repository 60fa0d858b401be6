"""Placement decisions: asked for here, and explained later."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, cast
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from msgspec import UNSET, Meta, UnsetType

from billing import policy
from billing.accounts import actors
from billing.accounts.actors import Act
from billing.api import endpoint as frame
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.problems import Refused, invalid_field
from billing.api.wire import Nothing, Quantity, Request
from billing.infra import deadlines
from billing.kernel import ids
from billing.kernel.errors import BillingError
from billing.models import PolicyDecision
from billing.policy import Requirement
from billing.reporting.representations import instant
from billing.reporting.shapes import DecisionDocument

REQUIREMENTS_MAX = 50
KEY_LENGTH_MAX = 200

Code = Annotated[str, Meta(min_length=1, max_length=60)]
_ONE = Decimal(1)


class PlacementRequirement(Request, frozen=True):
    """Exactly one of ``event`` and ``entitlement``; ``quantity`` is 1 if left out."""

    event: Code | None = None
    entitlement: Code | None = None
    quantity: Quantity | UnsetType = UNSET
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX)] | None = None


class Placement(Request, frozen=True):
    """With ``record`` all of the use is counted, if all of it is admitted."""

    organization: Annotated[str, Meta(min_length=1, max_length=120)]
    requirements: Annotated[list[PlacementRequirement], Meta(min_length=1, max_length=REQUIREMENTS_MAX)]
    record: bool = False


class EvaluatePlacement(ApiView):
    @endpoint("Decide a placement", responses={200: DecisionDocument}, act=Act.READ, tag="policy")
    def post(self, call: Call[Placement, Nothing]) -> Answer:
        """Whether all requirements are met: a decision with an id, kept and explained under that id later.

        Always 200 once the request is sound: ``allowed`` is true, or the launch is blocked and ``notes`` say why. Any
        failure is a blocked decision, within five seconds, also where the database is gone; such a one has no
        organization, and its id is found in the log only. A use's key is its ``idempotency_key``, or the header
        ``Idempotency-Key`` with ``:<index>`` added. Recording takes the scope ``usage``.
        """
        body = call.body
        organization = call.organization(body.organization, Act.USAGE if body.record else Act.READ)
        requirements = [_requirement(call, each, index) for index, each in enumerate(body.requirements)]
        decision = policy.evaluate(organization, requirements, actor=call.actor.name, records=body.record, now=call.at)
        return Answer(200, document(decision))

    def _answer(self, request: HttpRequest, path: dict[str, Any]) -> HttpResponseBase:
        with deadlines.within(policy.SECONDS):
            try:
                return super()._answer(request, path)
            except (BillingError, Refused):
                raise
            except Exception as error:
                # Who calls could not be found out either: the answer tells nothing that was not asked for, and blocks.
                decision = policy.undecided(
                    error, organization=None, actor=actors.ANONYMOUS.name, records=False, now=timezone.now()
                )
                return frame.render(Answer(200, document(decision)))


class DecisionDetail(ApiView):
    @endpoint("Read a decision", responses={200: DecisionDocument}, act=Act.READ, tag="policy")
    def get(self, call: Call[Nothing, Nothing], decision_id: str) -> Answer:
        """What was decided and why: plan version, limits, windows, use at that moment, and what would have passed."""
        wanted = ids.parse_uuid(decision_id)
        decision = None if wanted is None else policy.find_decision(wanted)
        if decision is None or not actors.is_visible(call.actor, decision.organization):
            raise policy.DecisionNotFound("No such decision.")
        call.require(Act.READ, decision.organization)
        return Answer(200, document(decision))


def document(decision: PolicyDecision) -> DecisionDocument:
    # Of none where nothing could be read: such a one is never stored.
    organization_id = cast("UUID | None", decision.organization_id)
    return {
        "id": str(decision.id),
        "organization": str(organization_id) if organization_id else None,
        "allowed": decision.allowed,
        "notes": list(decision.notes),
        "evaluation_required": decision.evaluation_required,
        "governance_required": decision.governance_required,
        "records": decision.records,
        "requirements": decision.requirements,
        "decided_at": instant(decision.decided_at),
    }


def _requirement(call: Call[Placement, Nothing], asked: PlacementRequirement, index: int) -> Requirement:
    path = f"requirements[{index}]"
    if asked.event is None and asked.entitlement is None:
        raise invalid_field(f"{path}.entitlement", "missing", "is missing: name an entitlement or an event")
    if asked.event is not None and asked.entitlement is not None:
        raise invalid_field(f"{path}.event", "contradiction", "name an entitlement or an event, not both")
    key = asked.idempotency_key
    if key is None and call.idempotency_key is not None:
        key = f"{call.idempotency_key}:{index}"
        if len(key) > KEY_LENGTH_MAX:
            raise invalid_field(
                "Idempotency-Key", "too_long", f"is too long to name {len(call.body.requirements)} uses"
            )
    return Requirement(
        event=asked.event or "",
        entitlement=asked.entitlement or "",
        quantity=_ONE if asked.quantity is UNSET else asked.quantity.value,
        idempotency_key=key,
    )
