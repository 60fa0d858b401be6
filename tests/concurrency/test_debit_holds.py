"""Held debits decided on by many at once: one decision, one debit, and never both."""

from collections import Counter
from decimal import Decimal

from django.utils import timezone

from billing.lifecycle import guardrails, onboard, usage
from billing.metering.holding import HoldCleared, HoldRejected
from billing.metering.offers import Offer
from billing.models import UsageDebitHold, UsageDebitResolution, UsageEvent
from billing.reporting.doctor import verify
from tests.concurrency.test_exact_quota import OPERATOR, in_threads, patiently
from tests.support import factories
from tests.support import guardrails as guarded


def test_16_who_clear_and_reject_5_debits_while_use_goes_on_come_to_one_answer_each(real_db: str) -> None:
    guarded.sync()
    organization = factories.organization()
    now = timezone.now()
    onboard.subscribe(organization=organization, plan_code="team", actor=OPERATOR, now=now)
    held = [Offer(organization, "tokens", Decimal(300), f"held-{n}", guardrail_flags=("review",)) for n in range(5)]
    events = [outcome.event.id for outcome in usage.record(held, now=now) if outcome.event is not None]
    assert UsageDebitHold.objects.count() == len(events) == 5

    def act(number: int) -> Counter[str]:
        decide = guardrails.clear if number % 2 else guardrails.reject
        answers: Counter[str] = Counter()
        for n, event_id in enumerate(events):
            offer = Offer(organization, "tokens", Decimal(1), f"use-{number}-{n}")
            patiently(lambda offer=offer: usage.record([offer], now=timezone.now()))  # type: ignore[misc]
            try:
                resolution = patiently(
                    lambda event_id=event_id: decide(  # type: ignore[misc]
                        organization=organization, event_id=event_id, actor=OPERATOR, reason="test", now=timezone.now()
                    )
                )
                answers[resolution.state] += 1
            except (HoldCleared, HoldRejected) as error:
                answers[error.code] += 1
        return answers

    answers = sum(in_threads(16, act), Counter[str]())
    assert sum(answers.values()) == 80
    states = Counter(UsageDebitResolution.objects.values_list("state", flat=True))
    assert sum(states.values()) == 5
    # Each of the eight who asked for what was decided got it, and the other eight a conflict.
    assert (answers["cleared"], answers["debit_cleared"]) == (8 * states["cleared"],) * 2
    assert (answers["rejected"], answers["debit_rejected"]) == (8 * states["rejected"],) * 2
    assert UsageEvent.objects.exclude(clears=None).count() == states["cleared"]
    assert UsageEvent.objects.exclude(reverses=None).count() == states["rejected"]
    assert verify() == []
