"""Forms about a plan and about credits, sent many times at once over connections of their own: each acts once."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test import Client

from billing.accounts import actors, members
from billing.accounts import operations as accounts_operations
from billing.kernel.ids import new_id
from billing.lifecycle import onboard
from billing.models import AuditEntry, CreditEntry, Organization, PlanSpan, PricingPlan, Role, Subscription, User
from billing.reporting.doctor import verify
from tests.support import catalogs, factories, people

pytestmark = pytest.mark.usefixtures("real_db")
OPERATOR = actors.operator("test")
NOW = factories.at("2026-03-10 12:00:00")
TABS = 8


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            barrier.wait(30)
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def stage() -> Organization:
    catalogs.sync()
    PricingPlan.objects.update(sla_tier="standard", sla_version="2026-1", sla_terms="Read me.")
    return factories.sandbox(clock_at=NOW, slug="acme")


def person(organization: Organization | None) -> User:
    user: User = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password="a-long-password")
    if organization is not None:
        members.set_role(organization=organization, user=user, role=Role.OWNER, actor=OPERATOR)
    return user


def tab(user: User) -> Client:
    client = Client()
    people.enter(client, user)
    return client


def hidden(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"', text))


def test_many_clicks_are_one_subscription() -> None:
    acme = stage()
    user = person(acme)
    sent = hidden(tab(user).get("/subscribe/trial").content.decode()) | {"accept": "yes"}
    tabs = [tab(user) for _ in range(TABS)]
    answers = at_once([partial(each.post, "/subscribe/trial", sent) for each in tabs])
    # Whoever waited for longer than the lock's time-out is told so, on the page it came from.
    assert {answer.status_code for answer in answers} == {302}
    assert "/dashboard/acme/" in {answer.headers["Location"] for answer in answers}
    assert Subscription.objects.get().status == "trialing"
    assert AuditEntry.objects.filter(act="sla.accept").count() == 1
    assert CreditEntry.objects.count() == 1
    assert verify() == []


def test_two_tabs_with_two_plans_are_one_subscription() -> None:
    acme = stage()
    user = person(acme)
    acts: list[Callable[[], Any]] = []
    codes: list[str] = []
    for number in range(TABS):
        code = ("trial", "free")[number % 2]
        each = tab(user)
        sent = hidden(each.get(f"/subscribe/{code}").content.decode()) | {"accept": "yes"}
        codes.append(code)
        acts.append(partial(each.post, f"/subscribe/{code}", sent))
    answers = zip(codes, at_once(acts), strict=True)
    landed = Counter(code for code, answer in answers if answer.headers["Location"] == "/dashboard/acme/")
    subscription = Subscription.objects.select_related("plan").get()
    assert set(landed) == {subscription.plan.code}
    assert verify() == []


def test_many_clicks_are_one_change() -> None:
    acme = stage()
    user = person(acme)
    subscription = onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=NOW)
    first = tab(user)
    page = first.post("/dashboard/acme/plan/preview/", {"plan": "scale"}).content.decode()
    sent = hidden(page.partition('action="/dashboard/acme/plan/change/"')[2]) | {"accept": "yes"}
    tabs = [tab(user) for _ in range(TABS)]
    answers = at_once([partial(each.post, "/dashboard/acme/plan/change/", sent) for each in tabs])
    assert {answer.status_code for answer in answers} == {302}
    subscription.refresh_from_db()
    assert subscription.plan.code == "scale"
    assert PlanSpan.objects.count() == 2
    assert AuditEntry.objects.filter(act="subscription.plan_changed").count() == 1
    assert verify() == []


def test_many_clicks_give_credits_once() -> None:
    acme = stage()
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=NOW)
    user = person(None)
    User.objects.filter(id=user.id).update(is_staff=True, cleared_regions=["*"])
    user.groups.add(Group.objects.get_or_create(name="finance")[0])
    sent = {"key": "race", "credits": "5", "reason": "race"}
    tabs = [tab(user) for _ in range(TABS)]
    answers = at_once([partial(each.post, "/dashboard/acme/desk/credits/", sent) for each in tabs])
    assert {answer.status_code for answer in answers} == {302}
    assert CreditEntry.objects.filter(reason="race").count() == 1
    assert verify() == []


def test_previews_beside_a_change_leave_nothing() -> None:
    acme = stage()
    user = person(acme)
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=NOW)
    tabs = [tab(user) for _ in range(TABS)]
    path = "/dashboard/acme/plan/preview/"
    answers = at_once([partial(each.post, path, {"plan": "scale"}) for each in tabs])
    assert 200 in {answer.status_code for answer in answers}
    assert Subscription.objects.get().plan.code == "team"
    assert PlanSpan.objects.count() == 1
    assert verify() == []
