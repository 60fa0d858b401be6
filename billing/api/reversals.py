"""Taking back: use, and what is left of a grant."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

from msgspec import Meta

from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.wire import Nothing, Quantity, Request
from billing.credits import queries as credits_queries
from billing.kernel import ids
from billing.lifecycle import reversal, voiding
from billing.metering.reversing import EventNotFound
from billing.reporting import representations
from billing.reporting.shapes import GrantDocument, ReversalDocument

Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
Key = Annotated[str, Meta(min_length=1, max_length=200)]


class UsageReversal(Request, frozen=True):
    """How much of an event to take back, all that is left of it where ``quantity`` is missing, and why."""

    reason: Reason
    quantity: Quantity | None = None
    idempotency_key: Key | None = None


class Voiding(Request, frozen=True):
    reason: Reason


class ReverseUsage(ApiView):
    @endpoint(
        "Reverse usage",
        responses={201: ReversalDocument, 200: ReversalDocument},
        act=Act.CREDITS,
        idempotent=True,
        tag="usage",
        problems=(404, 409),
    )
    def post(self, call: Call[UsageReversal, Nothing], event_id: str) -> Answer:
        """Takes back a use, whole or in part: 201, or 200 where the same key did so before.

        Units beyond the limit come back first, then those inside. Windows are free again at once, credits go back to
        the grants that paid, and money that is on an issued invoice already comes back with the next one. Several
        reversals never take back more than the event holds (409). For finance staff and platform keys.
        """
        wanted = ids.parse_uuid(event_id)
        if wanted is None:
            raise EventNotFound("No such usage event.")
        body = call.body
        reversed_use = reversal.reverse(
            event_id=wanted,
            quantity=body.quantity.value if body.quantity else None,
            key=body.idempotency_key or call.idempotency_key or str(uuid4()),
            actor=call.actor,
            reason=body.reason,
            now=call.at,
        )
        return Answer(200 if reversed_use.is_duplicate else 201, representations.reversal(reversed_use))


class VoidGrant(ApiView):
    @endpoint(
        "Void a grant",
        responses={200: GrantDocument},
        act=Act.CREDITS,
        idempotent=True,
        tag="credits",
        problems=(404, 409),
    )
    def post(self, call: Call[Voiding, Nothing], subscription_id: str, grant_id: str) -> Answer:
        """Makes what is left of a grant worthless; what it paid stays paid. Voiding it again changes nothing.

        409 where it has expired or nothing is left of it. For finance staff and platform keys.
        """
        subscription = call.subscription(subscription_id, Act.CREDITS)
        grant = credits_queries.get_grant(subscription.marketplace, grant_id)
        voided = voiding.void(
            grant=grant, actor=call.actor, reason=call.body.reason, now=call.now(subscription.organization)
        )
        return Answer(200, representations.grant(voided))
