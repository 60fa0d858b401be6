"""Credits: what is there, the ledger, and adjusting by hand."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import NumberKey, PageQuery
from billing.api.wire import Instant, Nothing, Request, SignedQuantity
from billing.credits import queries as credits_queries
from billing.lifecycle import adjust
from billing.models import GrantKind
from billing.reporting import approvals, representations
from billing.reporting.approvals import CreditRequestDocument
from billing.reporting.shapes import CreditsDocument, EntryDocument


class Adjustment(Request, frozen=True):
    """Credits to give (positive) or take (negative), and why."""

    credits: SignedQuantity
    reason: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
    kind: Literal["adjustment", "promotion", "purchase"] = "adjustment"
    expires_at: Instant | None = None


class AdjustedDocument(TypedDict):
    """The ledger entries made: one for credits given, one for each grant that credits were taken from."""

    results: list[EntryDocument]


class Credits(ApiView):
    @endpoint("Read credits", responses={200: CreditsDocument}, act=Act.READ, tag="credits")
    def get(self, call: Call[Nothing, Nothing], subscription_id: str) -> Answer:
        """The balance, what of it could pay for use now, and every grant by source and expiry, newest first."""
        subscription = call.subscription(subscription_id, Act.READ)
        account = subscription.marketplace
        return Answer(
            200,
            representations.credits_of(
                account,
                credits_queries.list_grants(account),
                spendable=credits_queries.spendable(account, call.now(subscription.organization)),
            ),
        )


class Ledger(ApiView):
    @endpoint(
        "Read the credit ledger", responses={200: pagination.page_of(EntryDocument)}, act=Act.MONEY, tag="credits"
    )
    def get(self, call: Call[Nothing, PageQuery], subscription_id: str) -> Answer:
        """Every movement with the balance after it, newest first."""
        subscription = call.subscription(subscription_id, Act.MONEY)
        after = pagination.read_cursor(call.query, NumberKey)
        rows = credits_queries.list_entries(
            subscription.marketplace,
            before_sequence=after.number if after else None,
            limit=call.query.size + 1,
        )
        return Answer(
            200,
            pagination.page(
                call.request,
                call.query,
                rows,
                show=representations.entry,
                key=lambda row: NumberKey(row.sequence),
            ),
        )


class AdjustCredits(ApiView):
    @endpoint(
        "Adjust credits",
        responses={201: AdjustedDocument, 202: CreditRequestDocument},
        act=Act.CREDITS,
        idempotent=True,
        tag="credits",
        problems=(402,),
    )
    def post(self, call: Call[Adjustment, Nothing], subscription_id: str) -> Answer:
        """Gives or takes credits, with the reason in the ledger and the audit log. 402 where there are too few to take.

        202 with the request where a second person has to approve, because it is more than one hand may move alone.
        For finance staff and platform keys.
        """
        subscription = call.subscription(subscription_id, Act.CREDITS)
        body = call.body
        adjusted = adjust.adjust(
            subscription=subscription,
            credits=body.credits.value,
            actor=call.actor,
            reason=body.reason,
            now=call.now(subscription.organization),
            expires_at=body.expires_at.value if body.expires_at else None,
            kind=GrantKind(body.kind),
        )
        if adjusted.request is not None:
            return Answer(202, approvals.credit_request(adjusted.request, call.now(subscription.organization)))
        return Answer(201, {"results": [representations.entry(entry) for entry in adjusted.entries]})
