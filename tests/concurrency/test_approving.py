"""Two people approve one request at the same moment."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connections
from pytest_django import Settings

from billing.accounts import actors
from billing.kernel.errors import BillingError
from billing.lifecycle import adjust, approving
from billing.models import AuditEntry, CreditEntry
from tests.support.api import NOW, balance, build

pytestmark = pytest.mark.usefixtures("real_db")


def test_two_approvers_at_once_book_once(settings: Settings) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(10)
    world = build()
    before = balance(world.subscription)
    request = adjust.adjust(
        subscription=world.subscription, credits=Decimal(500), actor=actors.operator("asker"), reason="race", now=NOW
    ).request
    assert request is not None
    barrier = threading.Barrier(8)

    def decide(number: int) -> str:
        by = actors.operator(f"approver {number}")
        try:
            barrier.wait(30)
            if number % 4 == 3:
                approving.reject(request=request, actor=by, reason="no", now=NOW)
                return "rejected"
            approving.approve(request=request, actor=by, now=NOW)
            return "approved"
        except BillingError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(decide, range(8)))
    decided = [each for each in said if each in ("approved", "rejected")]
    assert len(decided) == 1
    assert set(said) - set(decided) <= {"request_decided", "busy"}
    booked = 500 if decided == ["approved"] else 0
    assert balance(world.subscription) == before + booked
    assert CreditEntry.objects.filter(reason="race").count() == bool(booked)
    assert AuditEntry.objects.filter(act__in=["credits.approve", "credits.reject"]).count() == 1


def test_one_hand_at_once_stays_within_the_limit(settings: Settings) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(10)
    world = build()
    before = balance(world.subscription)
    barrier = threading.Barrier(6)

    def give(_: int) -> bool:
        try:
            barrier.wait(30)
            adjusted = adjust.adjust(
                subscription=world.subscription, credits=Decimal(4), actor=actors.operator("eve"), reason="r", now=NOW
            )
            return adjusted.request is None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        booked = sum(pool.map(give, range(6)))
    assert booked == 2
    assert balance(world.subscription) == before + 8
