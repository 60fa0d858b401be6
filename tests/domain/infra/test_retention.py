"""What is kept for a time only goes after it, and nothing that the books are made of goes with it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.utils import timezone

from billing.accounts import actors
from billing.credits import sealing
from billing.infra import idempotency, retention
from billing.infra.idempotency import Kept
from billing.kernel.ids import new_id
from billing.lifecycle import onboard, usage
from billing.metering.offers import Offer
from billing.models import CreditEntry, IdempotentRequest, OutboxEvent, UsageEvent, UsageEventPayload, UsageWindow
from billing.reporting import doctor
from tests.support import catalogs, factories

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("ada")
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
def now(db: None) -> datetime:
    """Real time, with an organization that used something with a payload just now."""
    catalogs.sync()
    at = timezone.now()
    acme = factories.organization()
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=at)
    usage.record([Offer(acme, "tokens", Decimal(1001), "a", payload={"patient": "Ada"})], now=at)
    idempotency.once(caller="c", key="k", fingerprint=b"f", act=lambda: Kept(200, "{}"))
    return at


@pytest.mark.parametrize(("days", "after", "left"), [(90, -SECOND, 1), (90, 2 * SECOND, 0), (0, 900 * DAY, 1)])
def test_payloads_go_after_their_days(
    now: datetime, settings: LazySettings, days: int, after: timedelta, left: int
) -> None:
    settings.BILLING_PAYLOADS_KEPT_DAYS = days
    sealing.seal()
    before = (UsageEvent.objects.get().fingerprint, UsageWindow.objects.count(), CreditEntry.objects.count())
    dropped = retention.prune(now=timezone.now() + 90 * DAY + after)
    assert dropped["payloads"] == 1 - left
    assert UsageEventPayload.objects.count() == left
    assert (UsageEvent.objects.get().fingerprint, UsageWindow.objects.count(), CreditEntry.objects.count()) == before
    assert doctor.verify() == []


def test_the_event_is_still_known_when_its_payload_is_gone(now: datetime) -> None:
    retention.prune(now=now + 91 * DAY)
    acme = UsageEvent.objects.get().organization
    (again,) = usage.record([Offer(acme, "tokens", Decimal(1001), "a", payload={"patient": "Ada"})], now=now)
    (other,) = usage.record([Offer(acme, "tokens", Decimal(1001), "a", payload={"patient": "Bob"})], now=now)
    assert (again.status, other.status) == ("duplicate", "conflict")


def test_answers_and_sent_events_go_and_what_waits_stays(now: datetime) -> None:
    sent = OutboxEvent.objects.count()
    assert retention.prune(now=now + 91 * DAY) == {"payloads": 1, "requests": 1, "outbox": 0}
    OutboxEvent.objects.update(processed_at=now)
    assert retention.prune(now=now + 89 * DAY)["outbox"] == 0
    assert retention.prune(now=now + 91 * DAY)["outbox"] == sent
    assert not IdempotentRequest.objects.exists()
    assert retention.prune(now=now + 91 * DAY) == {"payloads": 0, "requests": 0, "outbox": 0}


def test_many_go_in_batches(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    acme = UsageEvent.objects.get().organization
    usage.record([Offer(acme, "case_created", Decimal(1), f"{n}", payload={}) for n in range(9)], now=now)
    assert retention.prune(now=now + 91 * DAY)["payloads"] == 10


def test_equal_payloads_of_two_events_have_different_digests(now: datetime) -> None:
    acme = UsageEvent.objects.get().organization
    one, two = (Offer(acme, "tokens", Decimal(1), key, payload={"patient": "Ada"}) for key in "bc")
    assert one.fingerprint() != two.fingerprint()
    elsewhere = Offer(factories.organization(), "tokens", Decimal(1), "b", payload={"patient": "Ada"})
    assert one.fingerprint() != elsewhere.fingerprint()


def test_identifiers_tell_their_time() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert retention.first_id(at).int >> 80 == at.timestamp() * 1000
    assert retention.first_id(timezone.now() - SECOND) < new_id() < retention.first_id(timezone.now() + SECOND)
