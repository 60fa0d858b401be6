"""Credits that customers buy: order, pay at the provider, withdraw."""

from __future__ import annotations

import hashlib

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.providers import LinkDocument, ReturnTo, return_address
from billing.api.wire import Nothing, Quantity, Request
from billing.kernel import ids
from billing.lifecycle.purchasing import operations, queries
from billing.payments import links
from billing.reporting import purchases
from billing.reporting.purchases import CreditPurchaseDocument
from billing.subscriptions import queries as subscriptions_queries

TAG = "credits"


class Order(Request, frozen=True):
    """How many credits, for the live subscription or the one that is named."""

    credits: Quantity
    subscription: str | None = None


class CreditPurchases(ApiView):
    @endpoint(
        "List credit purchases",
        responses={200: pagination.page_of(CreditPurchaseDocument)},
        act=Act.MONEY,
        tag=TAG,
    )
    def get(self, call: Call[Nothing, PageQuery], organization_ref: str) -> Answer:
        """The last ordered first."""
        after = pagination.read_cursor(call.query, TimeKey)
        rows = queries.read_purchases(
            organization=call.organization(organization_ref, Act.MONEY),
            actor=call.actor,
            before=(after.at, after.id) if after else None,
            limit=call.query.size + 1,
        )
        shown = pagination.page(
            call.request,
            call.query,
            rows,
            show=purchases.credit_purchase,
            key=lambda row: TimeKey(row.ordered_at, row.id),
        )
        return Answer(200, shown)

    @endpoint(
        "Order credits",
        responses={201: CreditPurchaseDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag=TAG,
        problems=(409,),
    )
    def post(self, call: Call[Order, Nothing], organization_ref: str) -> Answer:
        """At the price that the plan asks for a credit, with the organization's tax. Nothing is granted, and nothing is
        owed, before it is paid: ask for the link with `…/checkout`."""
        organization = call.organization(organization_ref, Act.SUBSCRIBE)
        named = call.body.subscription
        subscription = (
            subscriptions_queries.find_live(organization) if named is None else call.subscription(named, Act.SUBSCRIBE)
        )
        if subscription is None or subscription.organization_id != organization.id:
            raise subscriptions_queries.SubscriptionNotFound("No such subscription.")
        ordered = operations.order(
            subscription=subscription,
            credits=call.body.credits.value,
            key=_key(call),
            actor=call.actor,
            now=call.now(organization),
        )
        return Answer(201, purchases.credit_purchase(ordered))


class CreditPurchaseDetail(ApiView):
    @endpoint("Read a credit purchase", responses={200: CreditPurchaseDocument}, act=Act.MONEY, tag=TAG)
    def get(self, call: Call[Nothing, Nothing], purchase_id: str) -> Answer:
        """``paid`` says that its credits are granted."""
        found = queries.get_for(purchase_id, actor=call.actor, act=Act.MONEY)
        return Answer(200, purchases.credit_purchase(found))


class CreditPurchaseCheckout(ApiView):
    @endpoint(
        "Link to pay a credit purchase", responses={200: LinkDocument}, act=Act.SUBSCRIBE, tag=TAG, problems=(409, 502)
    )
    def post(self, call: Call[ReturnTo, Nothing], purchase_id: str) -> Answer:
        """Where the customer pays the order in full. The credits are there once the provider has told. The link works
        for a short time."""
        found = queries.get_for(purchase_id, actor=call.actor, act=Act.SUBSCRIBE)
        url = links.payment(
            invoice=found.invoice,
            return_url=return_address(call.request, call.body.return_url),
            actor=call.actor,
            now=call.at,
        )
        return Answer(200, {"url": call.request.build_absolute_uri(url)})


class WithdrawCreditPurchase(ApiView):
    @endpoint(
        "Withdraw a credit purchase",
        responses={200: CreditPurchaseDocument},
        act=Act.SUBSCRIBE,
        idempotent=True,
        tag=TAG,
        problems=(409,),
    )
    def post(self, call: Call[Nothing, Nothing], purchase_id: str) -> Answer:
        """Of one that was not paid; twice is once. Money that comes all the same goes to the customer's balance."""
        found = queries.get_for(purchase_id, actor=call.actor, act=Act.SUBSCRIBE)
        withdrawn = operations.withdraw(purchase=found, actor=call.actor, now=call.now(found.organization))
        return Answer(200, purchases.credit_purchase(withdrawn))


def _key(call: Call[Order, Nothing]) -> str:
    """What names the order: the caller's key for the request, or nothing else ever."""
    named = call.idempotency_key
    return ids.new_id().hex if named is None else hashlib.sha256(f"{call.actor.name} {named}".encode()).hexdigest()
