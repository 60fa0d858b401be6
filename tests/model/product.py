"""The product doing the same acts: its own operations, in the database that Django is connected to."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from billing.accounts import actors
from billing.invoicing import operations as invoicing
from billing.invoicing import settlement
from billing.invoicing.errors import NothingToBill
from billing.kernel.errors import BillingError
from billing.lifecycle import adjust, cancel, change_plan, clock, onboard, pause, pending, reservations, usage
from billing.metering import reserving
from billing.metering.offers import Offer, Outcome
from billing.models import (
    CreditGrant,
    Invoice,
    Organization,
    OutboxEvent,
    Subscription,
    UsageReservation,
    WebhookDelivery,
)
from billing.notifications import dispatch
from billing.notifications import operations as notifications
from tests.model.acts import ACCEPTED, Act, Answer, refused
from tests.model.tenant import Tenant

OPERATOR = actors.operator("model")
# What becomes of an invoice that is paid or taken back, by what it is.
AFTER_PAYING = {"draft": "invoice_not_issued", "void": "invoice_void", "paid": "payment_exceeds_due"}
AFTER_VOIDING = {"paid": "invoice_paid"}


class Mismatch(AssertionError):
    """The two do not agree."""


class Product:
    """One organization. ``tenant`` is told what only the rows can say: which drafts there are."""

    def __init__(self, tenant: Tenant, *, slug: str, zone: str, currency: str, began: datetime) -> None:
        self.tenant = tenant
        self.organization = Organization.objects.create(
            slug=slug,
            name=slug,
            residency_region="eu",
            zone=zone,
            currency=currency,
            is_sandbox=True,
            clock_at=began,
        )
        self.subscriptions: list[Subscription] = []
        self.accepted: dict[str, Offer] = {}
        self.reserved: dict[str, UUID] = {}
        self.endpoint, _ = notifications.create(
            organization=self.organization, url="https://hooks.example.com/", actor=OPERATOR, now=timezone.now()
        )

    @property
    def now(self) -> datetime:
        assert self.organization.clock_at is not None
        return self.organization.clock_at

    @property
    def last(self) -> Subscription:
        return self.subscriptions[-1]

    def answer(self, act: Act) -> Answer:
        try:
            told: Answer | None = getattr(self, f"do_{act.name}")(act)
        except BillingError as refusal:
            return refused(refusal.code)
        return told or ACCEPTED

    # --- time, subscriptions, credits ---

    def do_advance(self, act: Act) -> None:
        to = self.now + timedelta(seconds=act.seconds or 0)
        clock.advance(organization=self.organization, to=to, actor=OPERATOR)

    def do_subscribe(self, act: Act) -> None:
        self.subscriptions.append(
            onboard.subscribe(organization=self.organization, plan_code=act.plan, actor=OPERATOR, now=self.now)
        )

    def do_change(self, act: Act) -> None:
        change_plan.change_now(subscription=self.last, plan_code=act.plan, actor=OPERATOR, now=self.now)

    def do_change_later(self, act: Act) -> None:
        pending.change_at_period_end(subscription=self.last, plan_code=act.plan, actor=OPERATOR, now=self.now)

    def do_cancel_later(self, act: Act) -> None:
        pending.cancel_at_period_end(subscription=self.last, actor=OPERATOR, now=self.now)

    def do_withdraw(self, act: Act) -> None:
        pending.withdraw(subscription=self.last, actor=OPERATOR, now=self.now)

    def do_cancel(self, act: Act) -> None:
        cancel.cancel_now(subscription=self.last, actor=OPERATOR, now=self.now)

    def do_pause(self, act: Act) -> None:
        pause.pause(subscription=self.last, actor=OPERATOR, now=self.now)

    def do_resume(self, act: Act) -> None:
        pause.resume(subscription=self.last, actor=OPERATOR, now=self.now)

    def do_give(self, act: Act) -> None:
        self._adjust(self.last, act, 1)

    def do_give_to_left(self, act: Act) -> None:
        self._adjust(self.subscriptions[0], act, 1)

    def do_take(self, act: Act) -> None:
        self._adjust(self.last, act, -1)

    def _adjust(self, subscription: Subscription, act: Act, sign: int) -> None:
        adjust.adjust(
            subscription=subscription,
            credits=Decimal(act.quantity) * sign,
            actor=OPERATOR,
            reason="model",
            now=self.now,
            expires_at=None if act.seconds is None else self.now + timedelta(seconds=act.seconds),
        )

    # --- use ---

    def do_use(self, act: Act) -> Answer:
        return self._record([self._offer(act)])[0]

    def do_batch(self, act: Act) -> Answer:
        return Answer("batch", figures=tuple(self._record([self._offer(each) for each in act.items])))

    def do_repeat(self, act: Act) -> Answer:
        offer = self.accepted.get(act.key)
        if offer is None:
            return refused("not_found")
        quantity = offer.quantity + act.number
        return self._record(
            [Offer(self.organization, offer.meter, quantity, offer.key, occurred_at=offer.occurred_at)]
        )[0]

    def _offer(self, act: Act) -> Offer:
        at = None if act.seconds is None else self.now - timedelta(seconds=act.seconds)
        return Offer(self.organization, act.meter, Decimal(act.quantity), act.key, occurred_at=at)

    def _record(self, offers: list[Offer]) -> list[Answer]:
        outcomes = usage.record(offers, now=self.now)
        self.accepted |= {each.offer.key: each.offer for each in outcomes if each.status == "accepted"}
        return [_answer(each) for each in outcomes]

    # --- reservations ---

    def do_reserve(self, act: Act) -> Answer:
        offer = Offer(self.organization, act.meter, Decimal(act.quantity), act.key)
        lasts = timedelta(seconds=act.seconds or 0)
        reserved = reservations.reserve(offer=offer, now=self.now, quantity_max=Decimal(act.most), expires_in=lasts)
        if reserved.reservation is not None:
            self.reserved[act.key] = reserved.reservation.id
        return Answer(reserved.outcome.status, reserved.outcome.code)

    def do_settle(self, act: Act) -> Answer:
        reservation = self._reservation(act)
        settled = reservations.settle(reservation=reservation, quantity=Decimal(act.quantity), now=self.now)
        answer = _answer(settled.outcome)
        is_new = settled.outcome.status == "accepted"
        return answer._replace(figures=(*answer.figures, settled.is_late)) if is_new else answer

    def do_release(self, act: Act) -> None:
        reserving.release(reservation=self._reservation(act), now=self.now)

    def _reservation(self, act: Act) -> UsageReservation:
        return reserving.get_reservation(self.organization, self.reserved.get(act.key, UUID(int=0)))

    # --- invoices, events ---

    def do_issue(self, act: Act) -> Answer:
        draft = self._pick(act, Invoice.objects.filter(organization=self.organization, status="draft"))
        if draft is None:
            return ACCEPTED
        assert draft.period is not None
        try:
            invoicing.issue(invoice=draft, actor=OPERATOR, now=self.now)
        except NothingToBill:
            return ACCEPTED
        number = [each.id for each in self.subscriptions].index(draft.subscription_id)
        self.tenant.issued(number, draft.kind, draft.period.starts_at)
        return ACCEPTED

    def do_pay(self, act: Act) -> Answer:
        invoice = self._pick(act, Invoice.objects.filter(organization=self.organization))
        if invoice is None:
            return ACCEPTED
        wanted = AFTER_PAYING.get(invoice.status)
        try:
            invoicing.pay(
                invoice=invoice,
                amount_minor=max(1, settlement.due_minor(invoice)),
                reference=f"{invoice.id}/{act.number}/{self.now}",
                actor=OPERATOR,
                now=self.now,
            )
        except BillingError as refusal:
            if refusal.code != wanted:
                raise Mismatch(f"paying one that is {invoice.status}: {refusal.code}, should be {wanted}") from refusal
            return ACCEPTED
        self._expect(invoice, "paid", wanted)
        return ACCEPTED

    def do_void(self, act: Act) -> Answer:
        invoice = self._pick(act, Invoice.objects.filter(organization=self.organization))
        if invoice is None:
            return ACCEPTED
        self.tenant.has_voided = True
        wanted = AFTER_VOIDING.get(invoice.status)
        assert invoice.period is not None
        if invoice.kind == "change" and invoice.status == "issued" and invoice.period.closed_at is not None:
            wanted = "invoice_period_closed"
        try:
            invoicing.void(invoice=invoice, actor=OPERATOR, reason="model", now=self.now)
        except BillingError as refusal:
            if refusal.code != wanted:
                raise Mismatch(f"voiding one that is {invoice.status}: {refusal.code}, should be {wanted}") from refusal
            return ACCEPTED
        self._expect(invoice, "void", wanted)
        return ACCEPTED

    @staticmethod
    def _expect(invoice: Invoice, status: str, refusal: str | None) -> None:
        stored = Invoice.objects.get(id=invoice.id).status
        if refusal is not None or stored != status:
            raise Mismatch(f"invoice {invoice.id} was {invoice.status}: {stored}, should be {refusal or status}")

    @staticmethod
    def _pick(act: Act, invoices: QuerySet[Invoice]) -> Invoice | None:
        found = list(invoices.select_related("period", "organization").order_by("drafted_at", "id"))
        return found[act.number % len(found)] if found else None

    def do_distribute(self, act: Act) -> Answer:
        """All that happened is in the queue of the endpoint that wants it, once."""
        dispatch.distribute(now=timezone.now())
        events = OutboxEvent.objects.filter(organization_id=self.organization.id)
        waiting, total = events.filter(processed_at=None).count(), events.count()
        queued = WebhookDelivery.objects.filter(endpoint=self.endpoint).count()
        if waiting or queued != total:
            raise Mismatch(f"of {total} events {queued} are queued and {waiting} wait")
        return ACCEPTED

    # --- what there is ---

    def standing(self) -> tuple[object, ...]:
        """Of each subscription its status, plan, pending plan, end and balance, and what is left of its grants in
        drain order."""
        left: dict[UUID, list[tuple[int, Fraction]]] = {}
        grants = CreditGrant.objects.filter(organization=self.organization, remaining__gt=0)
        for account, priority, remaining in grants.order_by("priority", "expires_at", "starts_at", "id").values_list(
            "account_id", "priority", "remaining"
        ):
            left.setdefault(account, []).append((priority, Fraction(remaining)))
        rows = Subscription.objects.filter(organization=self.organization).values_list(
            "id",
            "status",
            "plan__code",
            "pending_plan__code",
            "cancel_at_period_end",
            "ended_at",
            "marketplace__credit_balance",
        )
        by_id = {row[0]: row[1:] for row in rows}
        return tuple(
            (*by_id[each.id][:5], Fraction(by_id[each.id][5]), tuple(left.get(each.id, ())))
            for each in self.subscriptions
        )

    def guard(self, meter: str) -> tuple[Fraction | None, Fraction, Fraction] | None:
        for each in usage.read_guards(self.organization, meter, now=self.now):
            if each.is_metered:
                limit = None if each.limit is None else Fraction(each.limit)
                return limit, Fraction(each.used), Fraction(each.reserved)
        return None


def _answer(outcome: Outcome) -> Answer:
    if outcome.status != "accepted" or outcome.event is None:
        return Answer(outcome.status, outcome.code)
    event = outcome.event
    return Answer("accepted", figures=(Fraction(event.overage), Fraction(event.credits_paid)))
