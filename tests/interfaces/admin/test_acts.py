"""Acts from the desk: each asks first, is one operation, is done once, and says of each row how it went."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import Settings

from billing.accounts import actors, operations
from billing.admin import acting
from billing.lifecycle import adjust, clock, onboard
from billing.models import (
    ApiKey,
    AuditEntry,
    Collection,
    CreditGrant,
    CreditNote,
    CreditRequest,
    Invoice,
    MarketplaceSubscription,
    Payment,
    ProviderInboxEvent,
    Subscription,
    User,
)
from billing.reporting.doctor import verify
from tests.support import catalogs, factories
from tests.support.factories import at
from tests.support.staff import act, act_on, staff, user_of

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("op")
MARCH = at("2026-03-01")
INVOICES = "/admin/billing/invoice/"
REASON = "=agreed <b>with</b> Ada"


@pytest.fixture
def browser(db: None) -> Client:
    return staff("finance")


@pytest.fixture
def subscription(db: None) -> Subscription:
    catalogs.sync()
    return subscribed()


def subscribed() -> Subscription:
    """With the draft of March, held."""
    acme = factories.sandbox(clock_at=MARCH)
    made = onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=MARCH)
    clock.advance(organization=acme, to=at("2026-04-01 01:00:00"), actor=OPERATOR)
    Invoice.objects.filter(subscription=made).update(held_at=MARCH, issue_due_at=None)
    return made


def draft_of(subscription: Subscription) -> Invoice:
    return Invoice.objects.get(subscription=subscription, status="draft")


def url(invoice: Invoice, name: str) -> str:
    return f"{INVOICES}{invoice.id}/act/{name}/"


def test_an_invoice_goes_its_way(browser: Client, subscription: Subscription) -> None:
    invoice = draft_of(subscription)
    for name, given, status, said in (
        ("release", {}, "draft", "issues itself within a minute"),
        ("hold", {"reason": REASON}, "draft", "held"),
        ("draft", {}, "draft", "49.00 USD"),
        ("issue", {}, "issued", "issued as SBX-"),
        ("pay", {"amount": "9", "reference": "bank 1"}, "issued", "9.00 USD booked; it is issued"),
        ("pay", {"reference": "bank 2"}, "paid", "40.00 USD booked; it is paid"),
        ("refund", {"amount": "40", "reference": "bank 3", "reason": REASON}, "issued", "40.00 USD given back"),
        ("credit", {"lines": "1 10", "reason": REASON}, "issued", "of 10.00 USD"),
        ("uncollectible", {"reason": REASON}, "uncollectible", "written off"),
    ):
        answer = act(browser, url(invoice, name), **given)
        invoice.refresh_from_db()
        assert (invoice.status, said in answer.content.decode()) == (status, True), (
            name,
            answer.content.decode()[-3000:],
        )
    audited = AuditEntry.objects.filter(object_type="invoice", object_id=str(invoice.id), actor=me(browser))
    assert {"invoice.hold", "invoice.issue", "invoice.pay", "invoice.refund", "invoice.credit"} <= {
        each.act for each in audited
    }
    assert CreditNote.objects.get().reason == REASON
    assert verify() == []


def me(browser: Client) -> str:
    return f"user:{user_of(browser).id}"


@pytest.mark.parametrize("name", ["hold", "void"])
@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_reason_is_needed(browser: Client, subscription: Subscription, name: str, reason: str) -> None:
    invoice = draft_of(subscription)
    answer = act(browser, url(invoice, name), reason=reason)
    assert (answer.status_code, 'role="alert"' in answer.content.decode()) == (200, True)
    invoice.refresh_from_db()
    assert invoice.status == "draft"
    assert not AuditEntry.objects.filter(actor=me(browser)).exists()


def test_a_look_changes_nothing(browser: Client, subscription: Subscription) -> None:
    invoice = draft_of(subscription)
    before = AuditEntry.objects.count()
    for name in ("issue", "void", "pay", "credit", "hold", "release", "draft", "uncollectible", "refund"):
        assert browser.get(url(invoice, name)).status_code == 200
        # A form without the word of whoever sent it is the same as none.
        assert browser.post(url(invoice, name), {"reason": "x"}).status_code == 200
    assert AuditEntry.objects.count() == before


def test_a_refusal_is_said_where_it_was_asked(browser: Client, subscription: Subscription) -> None:
    invoice = draft_of(subscription)
    for name, given, said in (
        ("pay", {"reference": "r", "amount": "1"}, "still a draft"),
        ("credit", {"reason": "r"}, "still a draft"),
        ("pay", {"reference": "r", "amount": "1e3"}, "not a plain decimal number"),
        ("pay", {"reference": "r", "amount": "0.001"}, "more decimals than USD"),
        ("credit", {"reason": "r", "lines": "one 2"}, "is not a line"),
    ):
        answer = act(browser, url(invoice, name), **given)
        assert (answer.status_code, said in answer.content.decode()) == (200, True), (name, said)
    assert (Payment.objects.count(), CreditNote.objects.count()) == (0, 0)


def test_rows_are_done_one_by_one_with_a_result_each(browser: Client, subscription: Subscription) -> None:
    first, second = draft_of(subscription), draft_of(subscribed())
    act(browser, url(second, "void"), reason="r")
    answer = act_on(browser, INVOICES, "issue", [first, second])
    assert [
        (each.is_done, each.text[:10]) for each in sorted(answer.context["results"], key=lambda r: not r.is_done)
    ] == [
        (True, "issued as "),
        (False, "A void inv"),
    ]
    assert "1 done, 1 refused" in answer.content.decode()
    first.refresh_from_db()
    assert first.status == "issued"
    paid = act_on(browser, INVOICES, "pay", [first], reference="statement 7")
    assert "49.00 USD booked; it is paid" in paid.content.decode()


def test_more_than_a_page_of_rows_is_refused(
    browser: Client, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [draft_of(subscription), draft_of(subscribed())]
    monkeypatch.setattr(acting, "ROWS_MAX", 1)
    answer = browser.post(INVOICES, {"action": "issue", "_selected_action": [row.pk for row in rows]}, follow=True)
    assert "At most 1 at a time." in answer.content.decode()
    assert Invoice.objects.filter(status="issued").count() == 0


def test_a_double_click_is_one_act(browser: Client, subscription: Subscription) -> None:
    path = f"/admin/billing/subscription/{subscription.id}/act/adjust/"
    token = browser.get(path).context["form"].initial["token"]
    before = balance(subscription)
    form = {"confirmed": "1", "token": token, "credits": "5", "kind": "adjustment", "reason": REASON}
    said = [browser.post(path, form, follow=True).content.decode() for _ in range(2)]
    assert all("5 credits booked; the balance is" in text for text in said)
    assert balance(subscription) == before + 5
    # The same form with another amount is no second click.
    assert "stood for another request" in browser.post(path, form | {"credits": "6"}).content.decode()
    act(browser, path, credits="-5", kind="adjustment", reason=REASON)
    assert balance(subscription) == before


def balance(subscription: Subscription) -> Decimal:
    return MarketplaceSubscription.objects.get(pk=subscription.pk).credit_balance


def test_credits_expire_on_a_day(browser: Client, subscription: Subscription) -> None:
    path = f"/admin/billing/marketplacesubscription/{subscription.id}/act/adjust/"
    act(browser, path, credits="5", kind="promotion", expires_on="2026-05-01", reason=REASON)
    assert CreditGrant.objects.get(kind="promotion").expires_at == at("2026-05-01")
    for given in (
        {"credits": "0"},
        {"credits": ""},
        {"credits": "NaN"},
        {"expires_on": "2020-01-01"},
        {"kind": "allowance"},
    ):
        form = {"credits": "5", "kind": "promotion", "reason": REASON} | given
        assert act(browser, path, **form).status_code == 200
    assert CreditGrant.objects.filter(kind="promotion").count() == 1


def test_a_second_person_approves_on_the_desk(browser: Client, subscription: Subscription, settings: Settings) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(100)
    path = f"/admin/billing/subscription/{subscription.id}/act/adjust/"
    before = balance(subscription)
    asked = act(browser, path, credits="500", kind="adjustment", reason=REASON)
    assert "wait for a second person" in asked.content.decode()
    request = CreditRequest.objects.get()
    page = f"/admin/billing/creditrequest/{request.id}/"
    assert "Somebody else has to approve it." in browser.get(f"{page}change/").content.decode()
    assert "Somebody else has to approve" in act(browser, f"{page}act/approve/").content.decode()
    assert balance(subscription) == before
    second = staff("finance")
    assert "500 credits booked" in act(second, f"{page}act/approve/").content.decode()
    assert balance(subscription) == before + 500
    assert "approved already" in act(second, f"{page}act/reject/", reason="late").content.decode()
    assert user_of(second).email in second.get(f"{page}change/").content.decode()


def test_only_those_who_move_credits_see_requests(subscription: Subscription) -> None:
    for group in ("support", "catalog", "marketplace"):
        assert staff(group).get("/admin/billing/creditrequest/").status_code == 403


def test_a_grant_is_voided_and_a_subscription_drafted(browser: Client, subscription: Subscription) -> None:
    grant = CreditGrant.objects.get(remaining__gt=0)
    answer = act(browser, f"/admin/billing/creditgrant/{grant.id}/act/void/", reason=REASON)
    assert "credits are void" in answer.content.decode()
    assert balance(subscription) == 0
    drafted = act(browser, f"/admin/billing/subscription/{subscription.id}/act/draft/")
    assert "49.00 USD" in drafted.content.decode()


def test_dunning_is_stopped(browser: Client, subscription: Subscription) -> None:
    invoice = draft_of(subscription)
    act(browser, url(invoice, "issue"))
    clock.advance(organization=subscription.organization, to=at("2026-04-20"), actor=OPERATOR)
    dunning = Collection.objects.get(dunning_at__isnull=False)
    path = f"/admin/billing/collection/{dunning.id}/"
    assert browser.get(f"{path}change/").status_code == 200
    assert "charge" in act(browser, f"{path}act/retry/").content.decode()
    assert "stopped" in act(browser, f"{path}act/stop/", reason=REASON).content.decode()
    dunning.refresh_from_db()
    assert dunning.closed_because == "stopped"


def test_acts_ask_for_a_sign_in_of_lately(subscription: Subscription) -> None:
    invoice = draft_of(subscription)
    stale = staff("finance", ago=3600)
    for ask in (stale.get, stale.post):
        answer = ask(url(invoice, "issue"), {"confirmed": "1"})
        assert (answer.status_code, "/account/" in answer["Location"]) == (302, True)
    listed = stale.post(INVOICES, {"action": "issue", "_selected_action": [invoice.pk]})
    assert listed.status_code == 302
    assert stale.get(INVOICES).status_code == 200
    invoice.refresh_from_db()
    assert invoice.status == "draft"


def test_superusers_manage_staff(subscription: Subscription) -> None:
    boss = staff(superuser=True)
    person = operations.create_user(email="new@example.com", password="correct horse battery 42")
    path = f"/admin/billing/user/{person.id}/"
    groups = {
        name: str(pk)
        for pk, name in boss.get(f"{path}act/staff/")
        .context["form"]
        .fields["groups"]
        .queryset.values_list("pk", "name")
    }
    assert set(groups) == {"catalog", "finance", "marketplace", "support"}
    done = act(boss, f"{path}act/staff/", groups=[groups["finance"]], regions="eu us", is_active="on", reason=REASON)
    assert "in finance" in done.content.decode()
    person.refresh_from_db()
    assert (person.is_staff, person.cleared_regions, person.is_superuser) == (True, ["eu", "us"], False)
    assert AuditEntry.objects.get(act="staff.set").reason == REASON
    gone = act(boss, f"{path}act/staff/", regions="", is_active="on", reason=REASON)
    assert "not staff" in gone.content.decode()
    own = f"/admin/billing/user/{user_of(boss).id}/act/staff/"
    assert "Nobody manages their own rights." in act(boss, own, regions="*", reason="r").content.decode()
    for group in ("finance", "support", "catalog"):
        other = staff(group)
        assert other.get(f"{path}change/").status_code == 403
        assert other.post(f"{path}act/staff/", {"confirmed": "1"}).status_code == 403
        assert other.get("/admin/auth/group/").status_code == 403
    assert User.objects.filter(is_superuser=True).count() == 1


def test_a_key_is_revoked_and_its_text_is_nowhere(subscription: Subscription) -> None:
    boss = staff(superuser=True)
    key, secret = operations.create_key(organization=None, name="k", scopes=["read"], actor=OPERATOR)
    path = f"/admin/billing/apikey/{key.id}/"
    for page in (f"{path}change/", "/admin/billing/apikey/", f"/admin/billing/auditentry/?q={key.id}"):
        text = boss.get(page).content.decode()
        assert secret not in text
        assert key.digest.hex() not in text
    assert "revoked" in act(boss, f"{path}act/revoke/").content.decode()
    assert ApiKey.objects.get().revoked_at is not None


def test_a_provider_s_event_is_replayed(subscription: Subscription) -> None:
    boss = staff(superuser=True)
    event = ProviderInboxEvent.objects.create(
        provider="stripe", event_id="evt_1", type="t", occurred_at=MARCH, received_at=MARCH, status="parked",
        finished_at=MARCH, reason="<b>odd</b>", body=b"{}",
    )  # fmt: skip
    path = f"/admin/billing/providerinboxevent/{event.id}/"
    assert "&lt;b&gt;odd" in boss.get(f"{path}change/").content.decode()
    assert "tried again" in act(boss, f"{path}act/replay/", reason=REASON).content.decode()
    event.refresh_from_db()
    assert event.status == "waiting"


def test_without_a_csrf_token_nothing_happens(subscription: Subscription) -> None:
    invoice = draft_of(subscription)
    signed_in = staff("finance")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = signed_in.cookies
    token = signed_in.get(url(invoice, "issue")).context["form"].initial["token"]
    assert strict.post(url(invoice, "issue"), {"confirmed": "1", "token": token}).status_code == 403
    invoice.refresh_from_db()
    assert invoice.status == "draft"


def test_what_is_not_there(browser: Client) -> None:
    for path in ("nothing", "01a20068-0000-7000-8000-000000000000"):
        assert browser.get(f"{INVOICES}{path}/change/").status_code == 302
        assert browser.get(f"{INVOICES}{path}/act/issue/").status_code == 302


def test_many_small_ones_are_one_large_one_on_the_desk_too(
    browser: Client, subscription: Subscription, settings: Settings
) -> None:
    settings.BILLING_APPROVAL_ABOVE_CREDITS = Decimal(10)
    path = f"/admin/billing/subscription/{subscription.id}/act/adjust/"
    act(browser, path, credits="6", kind="adjustment", reason=REASON)
    assert (
        "wait for a second person" in act(browser, path, credits="6", kind="adjustment", reason=REASON).content.decode()
    )
    assert adjust.COUNTED_FOR.days == 1
