"""May this organization do this now?"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.problems import invalid_field
from billing.api.wire import Instant, Nothing, Quantity, Request
from billing.lifecycle import quota
from billing.reporting.shapes import QuotaDocument

Key = Annotated[str, Meta(min_length=1, max_length=60)]


_ONE = Decimal(1)


class QuotaCheck(Request, frozen=True):
    """Exactly one of ``entitlement`` and ``event``; ``quantity`` is 1 if left out."""

    entitlement: Key | None = None
    event: Key | None = None
    # Left out it is 1; null is not, and refused: a caller that lost its number must not count a guess.
    quantity: Quantity | UnsetType = UNSET
    record_usage: bool = False
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    occurred_at: Instant | None = None


class CheckQuota(ApiView):
    @endpoint("Check a quota", responses={200: QuotaDocument}, act=Act.READ, tag="usage")
    def post(self, call: Call[QuotaCheck, Nothing], organization_ref: str) -> Answer:
        """Whether ``quantity`` more would be admitted; with ``record_usage`` it is counted in the same step, exactly.

        Always 200 once decided: ``allowed`` says yes or no and ``notes`` why. The event's key is ``idempotency_key``,
        or else the header ``Idempotency-Key``: the same key is counted once. Recording takes the scope ``usage``.
        """
        body = call.body
        organization = call.organization(organization_ref, Act.USAGE if body.record_usage else Act.READ)
        if body.entitlement is None and body.event is None:
            raise invalid_field("entitlement", "missing", "is missing: name an entitlement or an event")
        if body.entitlement is not None and body.event is not None:
            raise invalid_field("event", "contradiction", "name an entitlement or an event, not both")
        outcome = quota.enforce(
            organization,
            now=call.at,
            event=body.event or "",
            entitlement=body.entitlement or "",
            quantity=_ONE if body.quantity is UNSET else body.quantity.value,
            record_usage=body.record_usage,
            key=body.idempotency_key or call.idempotency_key,
            occurred_at=body.occurred_at.value if body.occurred_at else None,
        )
        return Answer(200, outcome.as_dict())
