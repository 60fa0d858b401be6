"""Use told after the last invoice of an ended subscription: on a final invoice, once."""

from decimal import Decimal

import pytest

from billing.accounts import actors
from billing.accounts.actors import SYSTEM
from billing.invoicing import operations as invoicing
from billing.invoicing import queries
from billing.lifecycle import cancel, clock, onboard, usage
from billing.metering import operations as metering
from billing.metering.offers import Offer
from billing.models import Invoice, Organization
from billing.reporting import doctor
from tests.support import catalogs, factories
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")


@pytest.fixture
def acme(db: None) -> Organization:
    catalogs.sync()
    acme = factories.sandbox(clock_at=at("2026-03-01"))
    subscription = onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=at("2026-03-01"))
    used(acme, "1100", "first", "2026-03-01")
    clock.advance(organization=acme, to=at("2026-03-11"), actor=OPERATOR)
    cancel.cancel_now(subscription=subscription, actor=OPERATOR, now=at("2026-03-11"))
    clock.advance(organization=acme, to=at("2026-03-13"), actor=OPERATOR)
    return acme


def used(acme: Organization, quantity: str, key: str, when: str) -> None:
    acme.refresh_from_db()
    (outcome,) = usage.record(
        [Offer(acme, "tokens", Decimal(quantity), key, occurred_at=at(when))], now=at("2026-11-01")
    )
    assert outcome.status in ("accepted", "duplicate"), outcome


def finals() -> list[Invoice]:
    return list(Invoice.objects.filter(kind="final").order_by("occurrence"))


def test_late_use_comes_on_a_final_invoice(acme: Organization) -> None:
    (cycle,) = Invoice.objects.all()
    assert (cycle.status, cycle.kind) == ("issued", "cycle")
    used(acme, "10", "late", "2026-03-10")
    used(acme, "10", "late", "2026-03-10")
    (final,) = finals()
    assert (final.status, final.issue_due_at) == ("draft", at("2026-03-14"))
    assert [(line.charge, line.quantity, line.amount_minor) for line in final.lines.all()] == [("overage", 10, 5)]
    # A second one joins the draft.
    used(acme, "90", "later", "2026-03-10")
    assert doctor.verify() == []
    clock.advance(organization=acme, to=at("2026-03-15"), actor=OPERATOR)
    (final,) = finals()
    assert (final.status, final.total_minor) == ("issued", 50)
    # A third one comes on another.
    used(acme, "100", "last", "2026-03-10")
    assert [each.status for each in finals()] == ["issued", "draft"]
    clock.advance(organization=acme, to=at("2026-03-20"), actor=OPERATOR)
    assert [(each.status, each.total_minor) for each in finals()] == [("issued", 50), ("issued", 50)]
    billed = sum(line.quantity for each in Invoice.objects.all() for line in each.lines.filter(charge="overage"))
    assert billed == 300
    assert doctor.verify() == []


def test_free_late_use_asks_for_none(acme: Organization) -> None:
    acme.refresh_from_db()
    (outcome,) = usage.record(
        [Offer(acme, "case_created", Decimal(1), "late", occurred_at=at("2026-03-10"))], now=at("2026-11-01")
    )
    assert outcome.status == "accepted"
    assert finals() == []


def test_a_void_gives_its_use_to_the_next(acme: Organization) -> None:
    used(acme, "10", "late", "2026-03-10")
    (final,) = finals()
    issued = invoicing.issue(invoice=final, actor=SYSTEM, now=at("2026-03-13"))
    invoicing.void(invoice=issued, actor=SYSTEM, reason="test", now=at("2026-03-13"))
    (again,) = invoicing.draft_finals(period_ids=[final.period_id], actor=SYSTEM, now=at("2026-03-13"))  # type: ignore[list-item]
    assert again.invoice_id is not None
    assert [(each.status, each.total_minor) for each in finals()] == [("void", 5), ("draft", 5)]
    assert finals()[1].issue_due_at is None
    assert doctor.verify() == []


def test_the_sweep_finds_what_a_crash_left(acme: Organization) -> None:
    """The use is counted, and whoever counted it died before the draft."""
    Organization.objects.update(is_sandbox=False, clock_at=None)
    acme.refresh_from_db()
    now = at("2026-03-13")
    (outcome,) = metering.record([Offer(acme, "tokens", Decimal(10), "late", occurred_at=at("2026-03-10"))], now=now)
    assert outcome.event is not None
    found = queries.list_unbilled_finals(ended_after=at("2026-02-01"), limit=10)
    assert found == [outcome.event.billed_period_id]
    assert queries.list_unbilled_finals(ended_after=at("2026-03-12"), limit=10) == []
    invoicing.draft_finals(period_ids=found, actor=SYSTEM, now=now)
    assert queries.list_unbilled_finals(ended_after=at("2026-02-01"), limit=10) == []
    assert [each.total_minor for each in finals()] == [5]


def test_a_void_final_invoice_is_drafted_anew_whenever_it_is_void(acme: Organization) -> None:
    """Also long after the end, where the sweep no longer looks for lost ones, and in a sandbox, where none looks."""
    used(acme, "10", "late", "2026-03-10")
    clock.advance(organization=acme, to=at("2026-06-15"), actor=OPERATOR)
    (final,) = finals()
    invoicing.void(invoice=final, actor=OPERATOR, reason="wrong address", now=at("2026-06-15"))
    _, again = finals()
    assert (again.status, again.total_minor, again.issue_due_at) == ("draft", final.total_minor, None)
    assert doctor.verify() == []
