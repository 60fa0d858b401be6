# ruff: noqa: E501 - the table has one row a line
"""Who may do what at every URL of the project: each method of each URL has a row here, or this fails with its name.

A row says what right of which object it takes; what each caller is answered follows from the documented rules
(``docs/api.md``), which ``tests.support.rights`` writes down on its own.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.contrib import admin
from django.db import connections, transaction
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from billing.models import AuditEntry, StubCharge
from marketplace.models import Partner
from tests.support import partners, rights
from tests.support.api import rows
from tests.support.rights import Caller, Stage

# Method, URL, what it takes, and a body, in which $name is the parameter of that name. What it takes:
#   <right>            to an organization's own: others get the 404 of what is not there; several rights with +
#   platform:<right>   to no organization in particular: platform keys, superusers, for the catalog its staff
#   page:<right>       a page about an organization: whoever is not signed in is sent to the sign-in
#   partner:<what>     pages of a partner: its members see and edit, its admins and reviewers see and keep members
#   staff:<right>      pages of staff whose group has the right
#   act:<right>        a button on such a page, with the fields that it sends
#   person             whoever is signed in
#   open               everybody
#   factor             whoever is signed in and has a second factor; to others theirs is not there
#   begun              whoever began to sign in or up in this session; others are sent to the beginning
#   link               whoever has the link, as at a provider
#   mailed             whoever has the link that was mailed; a wrong one opens nothing
#   signed             only what the provider signed
#   scraper            the machine itself, or a bearer of the metrics token
TABLE = """
GET    api/schema                                                                   open
GET    api/docs                                                                     open
GET    api/v1/admin/billing/state?organization=$organization_ref                    subscribe
GET    api/v1/admin/billing/usage?organization=$organization_ref                    subscribe
GET    api/v1/admin/billing/portal-url?organization=$organization_ref               subscribe
POST   api/v1/admin/billing/update-plan?organization=$organization_ref              subscribe {"plan_code": "scale"}
POST   api/v1/admin/billing/update-plan?organization=$organization_ref              subscribe+subscriptions {"status": "paused"}
POST   api/policy/placements/evaluate                                               read {"organization": "$organization_ref", "requirements": [{"event": "tokens"}]}
POST   api/policy/placements/evaluate                                               usage {"organization": "$organization_ref", "requirements": [{"event": "tokens"}], "record": true}
GET    api/policy/decisions/<decision_id>                                           read
GET    api/billing/plans                                                            open
POST   api/billing/plans/<plan_code>/migrate                                        platform:subscriptions {}
POST   api/billing/plans/<plan_code>/migrate                                        subscriptions {"organization": "$organization_ref"}
GET    api/billing/coupons                                                          platform:catalog
POST   api/billing/coupons                                                          platform:catalog {"code": "NEW", "name": "n", "percent": 10}
POST   api/billing/coupons/<coupon_code>/retire                                     platform:catalog {}
POST   api/billing/usage                                                            usage {"organization": "$organization_ref", "meter": "tokens", "quantity": 1}
POST   api/billing/usage/<event_id>/reverse                                         credits {"reason": "r"}
POST   api/billing/organizations                                                    platform:organizations {"slug": "fresh", "name": "Fresh"}
GET    api/billing/organizations/<organization_ref>                                 read
GET    api/billing/organizations/<organization_ref>/keys                            keys
POST   api/billing/organizations/<organization_ref>/keys                            keys+read {"name": "k", "scopes": ["read"]}
DELETE api/billing/organizations/<organization_ref>/keys/<key_id>                   keys
POST   api/billing/organizations/<organization_ref>/clock/advance                   clock {"to": "2023-12-21T00:00:00Z"}
GET    api/billing/organizations/<organization_ref>/subscription                    read
POST   api/billing/organizations/<organization_ref>/subscription                    subscribe {"plan_code": "scale"}
POST   api/billing/organizations/<organization_ref>/subscription                    subscribe+subscriptions {"plan_code": "team", "status": "canceled"}
GET    api/billing/organizations/<organization_ref>/subscriptions                   read
POST   api/billing/organizations/<organization_ref>/subscriptions                   subscribe {"plan_code": "team"}
POST   api/billing/organizations/<organization_ref>/subscriptions                   subscribe+subscriptions {"plan_code": "team", "starts_at": "2023-11-01T00:00:00Z"}
POST   api/billing/organizations/<organization_ref>/quotas/check                    read {"event": "tokens"}
POST   api/billing/organizations/<organization_ref>/quotas/check                    usage {"event": "tokens", "record_usage": true}
POST   api/billing/organizations/<organization_ref>/quotas/reservations             usage {"event": "tokens", "quantity": 1, "idempotency_key": "x"}
GET    api/billing/organizations/<organization_ref>/quotas/reservations/<reservation_id>          read
POST   api/billing/organizations/<organization_ref>/quotas/reservations/<reservation_id>/settle   usage {"quantity": 1}
POST   api/billing/organizations/<organization_ref>/quotas/reservations/<reservation_id>/release  usage {}
GET    api/billing/organizations/<organization_ref>/usage                           read
GET    api/billing/organizations/<organization_ref>/usage/days                      read
GET    api/billing/organizations/<organization_ref>/exports/<export>                money
GET    api/billing/organizations/<organization_ref>/guardrails/report?from=2023-11-01T00:00:00Z&to=2023-12-01T00:00:00Z  read
GET    api/billing/organizations/<organization_ref>/guardrails/holds                read
POST   api/billing/organizations/<organization_ref>/guardrails/holds/<event_id>/clear   credits {"reason": "r"}
POST   api/billing/organizations/<organization_ref>/guardrails/holds/<event_id>/reject  credits {"reason": "r"}
GET    api/billing/organizations/<organization_ref>/webhook-endpoints               webhooks
POST   api/billing/organizations/<organization_ref>/webhook-endpoints               webhooks {"url": "https://hooks.example.com/2"}
GET    api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>           webhooks
PATCH  api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>           webhooks {"description": "d"}
DELETE api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>           webhooks
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/rotate    webhooks {}
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/pause     webhooks {}
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/resume    webhooks {}
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/test      webhooks {}
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/replay    webhooks {"since": "2023-11-17T00:00:00Z"}
GET    api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/deliveries                        webhooks
GET    api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/deliveries/<message_id>           webhooks
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/deliveries/<message_id>/replay    webhooks {}
POST   api/billing/organizations/<organization_ref>/webhook-endpoints/<endpoint_id>/deliveries/<message_id>/skip      webhooks {}
GET    api/billing/organizations/<organization_ref>/billing-profile                 read
PUT    api/billing/organizations/<organization_ref>/billing-profile                 invoices {"legal_name": "A"}
GET    api/billing/organizations/<organization_ref>/balance                         money
POST   api/billing/organizations/<organization_ref>/balance/payouts                 invoices {"amount": 1, "currency": "USD", "reference": "x", "reason": "r"}
POST   api/billing/organizations/<organization_ref>/portal                          subscribe {}
GET    api/billing/organizations/<organization_ref>/dunnings                        money
GET    api/billing/organizations/<organization_ref>/mails                           money
GET    api/billing/subscriptions/<subscription_id>                                  read
POST   api/billing/subscriptions/<subscription_id>/preview-change                   subscribe {"plan_code": "scale"}
POST   api/billing/subscriptions/<subscription_id>/cancel                           subscribe {"at_period_end": true}
POST   api/billing/subscriptions/<subscription_id>/activate                         subscriptions {}
POST   api/billing/subscriptions/<subscription_id>/reactivate                       subscribe {}
POST   api/billing/subscriptions/<subscription_id>/pause                            subscriptions {}
POST   api/billing/subscriptions/<subscription_id>/resume                           subscriptions {}
POST   api/billing/subscriptions/<subscription_id>/release                          subscriptions {}
POST   api/billing/subscriptions/<subscription_id>/checkout                         subscribe {}
GET    api/billing/subscriptions/<subscription_id>/invoices                         money
POST   api/billing/subscriptions/<subscription_id>/invoices/draft                   invoices {}
GET    api/billing/subscriptions/<subscription_id>/invoices/preview                 preview
GET    api/billing/subscriptions/<subscription_id>/discount                         read
POST   api/billing/subscriptions/<subscription_id>/discount                         subscribe {"code": "SPRING"}
DELETE api/billing/subscriptions/<subscription_id>/discount                         subscribe
GET    api/billing/subscriptions/<subscription_id>/credits                          read
POST   api/billing/subscriptions/<subscription_id>/credits/adjust                   credits {"credits": 5, "reason": "r"}
GET    api/billing/subscriptions/<subscription_id>/credits/ledger                   money
POST   api/billing/subscriptions/<subscription_id>/credits/grants/<grant_id>/void   credits {"reason": "r"}
GET    api/billing/credit-requests                                                  platform:credits
GET    api/billing/credit-requests/<request_id>                                     credits
POST   api/billing/credit-requests/<request_id>/approve                             credits {}
POST   api/billing/credit-requests/<request_id>/reject                              credits {"reason": "r"}
GET    api/billing/organizations/<organization_ref>/credit-requests                 credits
GET    api/billing/organizations/<organization_ref>/credit-purchases                money
POST   api/billing/organizations/<organization_ref>/credit-purchases                subscribe {"credits": 5}
GET    api/billing/credit-purchases/<purchase_id>                                   money
POST   api/billing/credit-purchases/<purchase_id>/checkout                          subscribe {}
POST   api/billing/credit-purchases/<purchase_id>/withdraw                          subscribe {}
GET    api/billing/invoices                                                         platform:invoices
GET    api/billing/invoices/<invoice_id>                                            money
POST   api/billing/invoices/<invoice_id>/issue                                      invoices {}
GET    api/billing/invoices/<invoice_id>/verification                               preview
POST   api/billing/invoices/<invoice_id>/hold                                       invoices {"reason": "r"}
POST   api/billing/invoices/<invoice_id>/release                                    invoices {}
POST   api/billing/invoices/<invoice_id>/void                                       invoices {"reason": "r"}
POST   api/billing/invoices/<invoice_id>/uncollectible                              invoices {"reason": "r"}
POST   api/billing/invoices/<invoice_id>/pay                                        invoices {"amount": 1, "reference": "x"}
POST   api/billing/invoices/<invoice_id>/refund                                     invoices {"amount": 1, "reference": "x", "reason": "r"}
GET    api/billing/invoices/<invoice_id>/payments                                   money
GET    api/billing/invoices/<invoice_id>/credit-notes                               money
POST   api/billing/invoices/<invoice_id>/credit-notes                               invoices {"reason": "r"}
GET    api/billing/credit-notes/<credit_note_id>                                    money
GET    api/billing/dunnings/<dunning_id>                                            money
POST   api/billing/dunnings/<dunning_id>/retry                                      invoices {}
POST   api/billing/dunnings/<dunning_id>/stop                                       invoices {"reason": "r"}
POST   api/billing/mails/<mail_id>/resend                                           invoices {}
POST   api/billing/providers/<provider>/webhook                                     signed {}
GET    api/billing/provider-events                                                  platform:providers
GET    api/billing/provider-events/<event_reference>                                platform:providers
POST   api/billing/provider-events/<event_reference>/replay                         platform:providers {"reason": "r"}
GET    api/marketplace/listings                                                     open
GET    api/marketplace/listings/<listing_slug>                                      open
GET    api/marketplace/review                                                       platform:listings
POST   api/marketplace/listings/<listing_slug>/publish                              platform:listings {"version": 3}
POST   api/marketplace/listings/<listing_slug>/reject                               platform:listings {"version": 3, "reason": "r"}
POST   api/marketplace/listings/<listing_slug>/suspend                              platform:listings {"version": 3, "reason": "r"}
POST   api/marketplace/listings/<listing_slug>/restore                              platform:listings {"version": 3}
GET    api/v1/cases?organization=$organization_ref                                  read
POST   api/v1/cases?organization=$organization_ref                                  usage {"reference": "n", "title": "n"}
POST   api/v1/cases/evaluate?organization=$organization_ref                         usage {"case": "$case_id"}
POST   api/v1/cases/<case_id>/documents?organization=$organization_ref              usage {"kind": "letter"}
POST   api/v1/cases/<case_id>/jobs?organization=$organization_ref                   usage {"job": "plan"}
POST   api/v1/case-lifecycle/<case_id>/<transition>?organization=$organization_ref  usage {}
GET    healthz                                                                      open
GET    readyz                                                                       open
GET    internal/metrics                                                             scraper
GET    /                                                                            open
GET    compare                                                                      open
GET    plans/<plan_code>                                                            open
GET    account/signup/                                                              open
POST   account/signup/                                                              open
GET    account/login/                                                               open
POST   account/login/                                                               open
GET    account/logout/                                                              open
POST   account/logout/                                                              open
GET    account/inactive/                                                            open
GET    account/confirm-email/                                                       begun
POST   account/confirm-email/                                                       begun
GET    account/password/reset/                                                      open
POST   account/password/reset/                                                      open
GET    account/password/reset/done/                                                 open
GET    account/password/reset/key/<uidb36>-<key>/                                   mailed
POST   account/password/reset/key/<uidb36>-<key>/                                   mailed
GET    account/password/reset/key/done/                                             open
GET    account/2fa/authenticate/                                                    begun
POST   account/2fa/authenticate/                                                    begun
GET    account/email/                                                               person
POST   account/email/                                                               person
GET    account/sessions/                                                            person
POST   account/sessions/                                                            person
GET    account/password/change/                                                     person
POST   account/password/change/                                                     person
GET    account/password/set/                                                        person
POST   account/password/set/                                                        person
GET    account/reauthenticate/                                                      person
POST   account/reauthenticate/                                                      person
GET    account/2fa/                                                                 person
GET    account/2fa/reauthenticate/                                                  person
POST   account/2fa/reauthenticate/                                                  person
GET    account/2fa/totp/activate/                                                   person
POST   account/2fa/totp/activate/                                                   person
GET    account/2fa/totp/deactivate/                                                 factor
POST   account/2fa/totp/deactivate/                                                 factor
GET    account/2fa/recovery-codes/                                                  factor
GET    account/2fa/recovery-codes/generate/                                         person
POST   account/2fa/recovery-codes/generate/                                         person
GET    dashboard/                                                                   person
GET    dashboard/<slug>/                                                            page:read
GET    dashboard/<slug>/invoices/<invoice_id>/                                      page:money
GET    dashboard/<slug>/guardrails/                                                 page:read
GET    dashboard/<slug>/usage/                                                      page:read
GET    dashboard/<slug>/credits/                                                    page:read
GET    dashboard/<slug>/credits/purchases/                                          page:money
GET    dashboard/<slug>/credits/purchases/<purchase_id>/                            page:money
POST   dashboard/<slug>/credits/purchases/order/                                    page:subscribe {}
POST   dashboard/<slug>/credits/purchases/<purchase_id>/pay/                        page:subscribe {}
POST   dashboard/<slug>/credits/purchases/<purchase_id>/withdraw/                   page:subscribe {}
GET    dashboard/<slug>/invoices/                                                   page:money
GET    dashboard/<slug>/refusals/                                                   page:read
GET    dashboard/<slug>/webhooks/                                                   page:webhooks
POST   dashboard/<slug>/webhooks/                                                   page:webhooks {}
GET    dashboard/<slug>/webhooks/<endpoint_id>/                                     page:webhooks
POST   dashboard/<slug>/webhooks/<endpoint_id>/pause/                               page:webhooks {}
POST   dashboard/<slug>/webhooks/<endpoint_id>/resume/                              page:webhooks {}
POST   dashboard/<slug>/webhooks/<endpoint_id>/test/                                page:webhooks {}
POST   dashboard/<slug>/webhooks/<endpoint_id>/delete/                              page:webhooks {}
POST   dashboard/<slug>/webhooks/<endpoint_id>/messages/<message_id>/redeliver/     page:webhooks {}
POST   dashboard/<slug>/webhooks/<endpoint_id>/messages/<message_id>/skip/          page:webhooks {}
GET    subscribe/<plan_code>                                                        person
POST   subscribe/<plan_code>                                                        person {}
GET    dashboard/<slug>/plan/                                                       page:read
POST   dashboard/<slug>/plan/preview/                                               page:subscribe {}
POST   dashboard/<slug>/plan/change/                                                page:subscribe {}
POST   dashboard/<slug>/plan/cancel/                                                page:subscribe {}
POST   dashboard/<slug>/plan/keep/                                                  page:subscribe {}
POST   dashboard/<slug>/plan/coupon/                                                page:subscribe {}
POST   dashboard/<slug>/plan/pay/                                                   page:subscribe {}
GET    dashboard/<slug>/desk/                                                       page:invoices
POST   dashboard/<slug>/desk/preview/                                               page:invoices {}
POST   dashboard/<slug>/desk/draft/                                                 page:invoices {}
POST   dashboard/<slug>/desk/credits/                                               page:credits {}
GET    listings                                                                     open
GET    listings/<listing_slug>                                                      open
GET    listings/<listing_slug>/images/<image_id>                                    open
GET    partner/                                                                     person
GET    partner/<partner_slug>/                                                      partner:see
GET    partner/<partner_slug>/new                                                   partner:edit
POST   partner/<partner_slug>/new                                                   partner:edit {}
GET    partner/<partner_slug>/members                                               partner:see
POST   partner/<partner_slug>/members                                               partner:members {}
GET    partner/<partner_slug>/listings/<listing_slug>/                              partner:see
POST   partner/<partner_slug>/listings/<listing_slug>/                              partner:edit {}
GET    partner/<partner_slug>/listings/<listing_slug>/edit                          partner:edit
POST   partner/<partner_slug>/listings/<listing_slug>/edit                          partner:edit {}
GET    review/                                                                      staff:listings
GET    review/partners                                                              staff:listings
POST   review/partners                                                              staff:listings {}
GET    review/listings/<listing_slug>/                                              staff:listings
POST   review/listings/<listing_slug>/                                              staff:listings {}
GET    dashboard/<slug>/members/                                                    page:members
POST   dashboard/<slug>/members/invite/                                             act:members {"email": "x@example.com", "role": "member"}
POST   dashboard/<slug>/members/<user_id>/role/                                     act:members {"role": "finance"}
POST   dashboard/<slug>/members/<user_id>/remove/                                   act:members
POST   dashboard/<slug>/invitations/<invitation_id>/revoke/                         act:members
GET    dashboard/<slug>/keys/                                                       page:keys
POST   dashboard/<slug>/keys/                                                       act:keys {"name": "k", "scopes": "read", "days": "30"}
POST   dashboard/<slug>/keys/<key_id>/revoke/                                       act:keys
GET    invitations/<token>                                                          mailed
POST   invitations/<token>                                                          mailed
GET    payments/portal/<token>                                                      link
POST   payments/portal/<token>                                                      link
POST   payments/portal/<token>/charges/<charge_id>                                  link
GET    payments/orders/<token>                                                      link
POST   payments/orders/<token>                                                      link
GET    payments/checkout/<token>                                                    link
POST   payments/checkout/<token>                                                    link
"""
# Which staff groups see which pages of the admin; superusers see all, and others are sent to its sign-in.
_MONEY, _READ = {"finance", "support"}, {"finance", "support", "catalog"}
ADMIN = {
    "auth/group": set[str](),
    "billing/apikey": set[str](),
    "billing/auditentry": _MONEY,
    "billing/collection": _MONEY,
    "billing/coupon": {"catalog"},
    "billing/creditentry": _MONEY,
    "billing/creditgrant": _MONEY,
    "billing/creditnote": _MONEY,
    "billing/creditrequest": {"finance"},
    "billing/invariantresult": set[str](),
    "billing/invoice": _MONEY,
    "billing/marketplacesubscription": _MONEY,
    "billing/organization": _READ,
    "billing/payment": _MONEY,
    "billing/plan": _READ,
    "billing/providerinboxevent": set[str](),
    "billing/subscription": _READ,
    "billing/subscriptionperiod": _READ,
    "billing/usageevent": _READ,
    "billing/user": set[str](),
    "billing/webhookdelivery": _MONEY,
    "billing/webhookendpoint": _MONEY,
    "marketplace/category": {"marketplace"},
    "marketplace/listing": {"marketplace"},
    "marketplace/partner": {"marketplace"},
}
# Rows of the admin by the parameter that names one; the others are tried with a row that is not there.
ADMIN_ROWS = {
    "billing/apikey": "key_id",
    "billing/collection": "dunning_id",
    "billing/creditgrant": "grant_id",
    "billing/creditnote": "credit_note_id",
    "billing/creditrequest": "request_id",
    "billing/invoice": "invoice_id",
    "billing/marketplacesubscription": "subscription_id",
    "billing/providerinboxevent": "event_reference",
    "billing/subscription": "subscription_id",
    "billing/usageevent": "event_id",
    "billing/webhookendpoint": "endpoint_id",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
# Allowed is not yet successful: the plan, or what is there already, may say no.
PASSED = {200, 201, 202, 204, 302, 402, 409}
# Parameters that name no object of an organization.
COMMON = {"plan_code", "coupon_code", "event_reference", "provider", "export", "transition", "uidb36", "key"}
COMMON |= {"partner_slug", "listing_slug", "image_id"}


class Row(NamedTuple):
    method: str
    path: str
    query: str
    needs: str
    body: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.needs}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"[<$](\w+)", f"{self.path}?{self.query} {self.body}")

    def ask(self, caller: Caller, objects: Mapping[str, str], **extra: str) -> Any:
        url = re.sub(r"[<$](\w+)>?", lambda found: objects[found[1]], f"{self.path}?{self.query}".rstrip("?"))
        body = re.sub(r"\$(\w+)", lambda found: objects[found[1]], self.body)
        if self.needs.startswith("act:"):
            return caller.send(f"/{url}", json.loads(body) if body else {})
        return caller.ask(self.method, f"/{url}", json.loads(body) if body else None, **extra)


def read(line: str) -> Row:
    method, url, needs, *body = line.split(maxsplit=3)
    path, _, query = url.lstrip("/").partition("?")
    return Row(method, path, query, needs, body[0] if body else "")


ROWS = [read(line) for line in TABLE.strip().splitlines()]
OBJECTS = [
    row
    for row in ROWS
    if not re.match(
        "platform:|page:|act:|factor|partner:|staff:|person|begun|open|link|mailed|signed|scraper", row.needs
    )
]


def of(kind: str) -> list[Row]:
    return [row for row in ROWS if row.needs.startswith(kind)]


def cases(found: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", found, ids=str)


@pytest.fixture(scope="module")
def one_stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    with django_db_blocker.unblock():
        separate = connections["refusals"]
        # On a connection of its own it could not see what is not committed.
        connections["refusals"] = connections["default"]
        # Thousands of requests, of which every line would be kept for a report.
        logging.disable(logging.INFO)
        with transaction.atomic():
            yield rights.set_up()
            transaction.set_rollback(True)
        logging.disable(logging.NOTSET)
        connections["refusals"] = separate


@pytest.fixture
def stage(one_stage: Stage, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield one_stage
        transaction.set_rollback(True)


def test_every_url_has_a_row() -> None:
    declared = {(row.method, row.path) for row in ROWS}
    routed = {route.path: route.view for route in rights.list_routes() if not route.path.startswith("admin/")}
    wanted = set()
    for path, view in routed.items():
        handlers = getattr(getattr(view, "view_class", None), "handlers", None)
        known = {method for method, found in declared if found == path}
        # A view that does not say its methods is asked for all that have no row, below.
        wanted |= {(method, path) for method in (handlers or known or {"?"})}
    assert sorted(wanted - declared) == [], "URLs without a row"
    assert sorted(declared - wanted) == [], "rows without a URL"


def test_every_page_of_the_admin_has_a_row() -> None:
    registered = {f"{model._meta.app_label}/{model._meta.model_name}" for model in admin.site._registry}
    assert registered == set(ADMIN)


def test_the_documentation_says_the_same() -> None:
    """Each line of the tables of calls in ``docs/api.md``: methods, path, scope."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    lines = re.findall(r"^\| ((?:`[A-Z]+`, )*`[A-Z]+) (/[^`?]+)[^`]*`[^|]*\| ([^|]+) \|", text, re.MULTILINE)
    assert len(lines) > 50
    here = {(row.method, re.sub(r"<\w+>", "{}", row.path)): set[str]() for row in ROWS}
    for row in ROWS:
        here[row.method, re.sub(r"<\w+>", "{}", row.path)].add(row.needs.removeprefix("platform:").partition("+")[0])
    for methods, path, said in lines:
        scopes = ["money" if money else scope for scope, money in re.findall(r"`(\w+)`( \(money\))?", said)]
        for index, method in enumerate(re.findall("[A-Z]+", methods)):
            wanted = scopes[min(index, len(scopes) - 1)] if scopes else "signed"
            assert wanted in here[method, re.sub(r"\{[^}]+\}", "{}", f"api{path}")], (method, path)


@pytest.mark.parametrize("path", sorted({row.path for row in ROWS}))
def test_other_methods_are_refused(stage: Stage, path: str) -> None:
    superuser = next(caller for caller in stage.callers if caller.of == "superuser")
    for method in set(METHODS) - {row.method for row in ROWS if row.path == path}:
        with transaction.atomic():
            answer = Row(method, path, "", "", "{}").ask(superuser, stage.own)
            assert answer.status_code == 405, (method, answer)
            transaction.set_rollback(True)


@cases([row for row in ROWS if row.needs not in ("open", "scraper")])
def test_no_cache_keeps_what_is_not_for_everybody(stage: Stage, row: Row) -> None:
    for caller in (caller for caller in stage.callers if caller.name in ("nobody", "owner", "superuser")):
        with transaction.atomic():
            answer = row.ask(caller, stage.own)
            transaction.set_rollback(True)
        assert "no-store" in answer.headers.get("Cache-Control", ""), (caller.name, answer)


@pytest.mark.parametrize("listed", sorted(ADMIN))
def test_no_cache_keeps_the_desk(stage: Stage, listed: str) -> None:
    superuser = next(caller for caller in stage.callers if caller.of == "superuser")
    answer = superuser.ask("GET", f"/admin/{listed}/")
    assert (answer.status_code, "no-store" in answer.headers["Cache-Control"]) == (200, True)


@cases(OBJECTS)
def test_an_organization_s_own(stage: Stage, row: Row) -> None:
    needs = set(row.needs.split("+"))
    before = rows()
    for caller in stage.telling(needs):
        if needs <= caller.rights:
            continue
        answer = row.ask(caller, stage.own)
        wanted = {"nobody": 401}.get(caller.of, 403 if "read" in caller.rights or caller.of != "staff" else 404)
        assert answer.status_code == wanted, (caller.name, answer.content)
    assert rows() == before, "something refused was done"
    for caller in stage.telling(needs):
        if needs <= caller.rights:
            with transaction.atomic():
                answer = row.ask(caller, stage.own)
                assert answer.status_code in PASSED, (caller.name, answer, getattr(answer, "content", ""))
                transaction.set_rollback(True)


@cases([row for row in OBJECTS if set(row.parameters) - COMMON])
def test_another_organization_s_looks_like_nothing(stage: Stage, row: Row) -> None:
    before = rows()
    for caller in stage.telling(set(row.needs.split("+"))):
        if caller.of in ("nobody", "role", "key"):
            theirs, nothing = row.ask(caller, stage.other), row.ask(caller, stage.missing)
            assert theirs.status_code == (401 if caller.of == "nobody" else 404), (caller.name, theirs.content)
            assert bare(theirs) == bare(nothing), caller.name
    assert rows() == before


@cases([row for row in OBJECTS if set(row.parameters) - COMMON])
def test_staff_of_another_region_are_refused_and_audited(stage: Stage, row: Row) -> None:
    needs = set(row.needs.split("+"))
    for caller in (caller for caller in stage.callers if caller.of == "staff"):
        answer = row.ask(caller, stage.other)
        found = list(AuditEntry.objects.filter(actor=f"user:{caller.user_id}", act__startswith="refused."))
        if "read" not in caller.rights:
            assert (answer.status_code, found) == (404, []), caller.name
        elif needs <= caller.rights:
            assert (answer.status_code, answer.json()["code"]) == (403, "region_not_cleared"), caller.name
            assert [(each.act, each.organization_id) for each in found] == [
                (f"refused.{row.needs.partition('+')[0]}", stage.world.other.id)
            ]
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), caller.name
            assert found == []


@cases([row for row in OBJECTS + of("page:") + of("act:") if len(set(row.parameters) - COMMON) > 1])
def test_what_another_has_is_not_there_under_one_s_own(stage: Stage, row: Row) -> None:
    """The organization in the URL is the caller's, what follows is another's."""
    first = "organization_ref" if "organization_ref" in row.parameters else row.parameters[0]
    theirs, nothing = ({**objects, first: stage.own[first]} for objects in (stage.other, stage.missing))
    is_page = row.needs.startswith(("page:", "act:"))
    needs = set(row.needs.rpartition(":")[2].split("+"))
    for caller in stage.telling(needs):
        if needs <= caller.rights and (caller.is_person or not is_page):
            with transaction.atomic():
                answer = row.ask(caller, theirs)
                assert answer.status_code == 404, (caller.name, answer.content)
                assert bare(answer) == bare(row.ask(caller, nothing)), caller.name
                transaction.set_rollback(True)


@cases(of("platform:"))
def test_what_is_no_organization_s(stage: Stage, row: Row) -> None:
    needs = row.needs.removeprefix("platform:")
    before = rows()
    allowed = []
    for caller in stage.telling({needs}):
        if needs in caller.rights and (
            caller.of in ("platform", "superuser") or (caller.of == "staff" and needs in ("catalog", "listings"))
        ):
            allowed.append(caller)
            continue
        answer = row.ask(caller, stage.own)
        assert answer.status_code == (401 if caller.of == "nobody" else 403), (caller.name, answer.content)
    assert rows() == before
    for caller in allowed:
        with transaction.atomic():
            answer = row.ask(caller, stage.own)
            assert answer.status_code in PASSED, (caller.name, answer.content)
            transaction.set_rollback(True)


@cases(of("page:"))
def test_pages_of_an_organization(stage: Stage, row: Row) -> None:
    needs = row.needs.removeprefix("page:")
    # An act by a button leads back to a page, which says what came of it; a form without anything is shown again.
    passed = {200} if row.method == "GET" else {200, 302, 422}
    for caller in stage.telling({"read"}):
        ask = partial(row.ask, caller)
        before = rows()
        if not caller.is_person:
            for objects in (stage.own, stage.other, stage.missing):
                assert ask(objects).headers["Location"].startswith("/account/login/?next="), caller.name
            continue
        wanted = passed if needs in caller.rights else {403 if "read" in caller.rights else 404}
        with transaction.atomic():
            assert ask(stage.own).status_code in wanted, caller.name
            # What is done here is not there for the next to do.
            transaction.set_rollback(needs in caller.rights)
        if needs not in caller.rights:
            assert rows() == before, "something refused was done"
        theirs = ask(stage.other)
        if caller.of == "superuser":
            assert theirs.status_code in passed
        elif caller.of == "staff" and "read" in caller.rights:
            assert theirs.status_code == 403, caller.name
            refused = AuditEntry.objects.filter(actor=f"user:{caller.user_id}", act=f"refused.{needs}")
            assert refused.exists() == (needs in caller.rights)
        else:
            assert theirs.status_code == 404, caller.name
            assert bare(theirs) == bare(ask(stage.missing)), caller.name


@cases(of("act:"))
def test_acts_on_such_pages(stage: Stage, row: Row) -> None:
    needs = row.needs.removeprefix("act:")
    before = rows()
    allowed = [caller for caller in stage.telling({"read"}) if caller.is_person and needs in caller.rights]
    for caller in stage.telling({"read"}):
        if not caller.is_person:
            for objects in (stage.own, stage.other, stage.missing):
                assert row.ask(caller, objects).headers["Location"].startswith("/account/login/?next="), caller.name
            continue
        if caller not in allowed:
            assert row.ask(caller, stage.own).status_code == (403 if "read" in caller.rights else 404), caller.name
        if caller.of == "staff" and "read" in caller.rights:
            assert row.ask(caller, stage.other).status_code == 403, caller.name
        elif caller.of != "superuser":
            theirs = row.ask(caller, stage.other)
            assert theirs.status_code == 404, caller.name
            assert bare(theirs) == bare(row.ask(caller, stage.missing)), caller.name
    # Refusals of staff of another region are audited.
    assert rows() | {"AuditEntry": 0} == before | {"AuditEntry": 0}, "something refused was done"
    for caller in allowed:
        with transaction.atomic():
            assert row.ask(caller, stage.own).status_code in PASSED, caller.name
            transaction.set_rollback(True)


def test_money_is_not_on_a_member_s_pages(stage: Stage) -> None:
    total = stage.world.platform.get(f"/billing/invoices/{stage.own['invoice_id']}").json["total"]
    row = read("GET dashboard/<slug>/ page:read")
    seen = {c.name for c in stage.callers if c.is_person and total in row.ask(c, stage.own).content.decode()}
    assert seen == {"finance", "admin", "owner", "staff finance", "staff support", "superuser"}


def test_members_export_what_is_no_money(stage: Stage) -> None:
    member = next(caller for caller in stage.callers if caller.name == "member")
    row = read("GET api/billing/organizations/<organization_ref>/exports/<export> read")
    shown = {
        name: row.ask(member, {**stage.own, "export": name}).status_code for name in ("windows", "events", "ledger")
    }
    assert shown == {"windows": 200, "events": 200, "ledger": 403}


@cases(of("partner:"))
def test_pages_of_a_partner(stage: Stage, row: Row) -> None:
    partner = Partner.objects.get(slug=stage.own["partner_slug"])
    elsewhere = partners.partner("elsewhere")
    people = [
        rights.signed_in("editor", partners.member(partner), {"see", "edit"}),
        rights.signed_in("admin", partners.member(partner, "admin"), {"see", "edit", "members"}),
        rights.signed_in("another partner's", partners.member(elsewhere, "admin"), set()),
    ]
    needs = row.needs.removeprefix("partner:")
    nowhere = {**stage.own, "partner_slug": "nowhere", "listing_slug": "nowhere"}
    before = rows()
    for caller in (*stage.telling({"listings"}), *people):
        answer = row.ask(caller, stage.own)
        given = caller.rights if caller in people else {"see", "members"} if "listings" in caller.rights else set()
        if not caller.is_person:
            assert answer.headers["Location"].startswith("/account/login/"), caller.name
        elif needs in given:
            # A form without what it asks for is shown again, or sent back with a word about it.
            assert answer.status_code in ({200} if row.method == "GET" else {302, 422}), caller.name
            assert "/account/" not in answer.headers.get("Location", "")
        elif given:
            assert answer.status_code == 403, caller.name
        else:
            assert answer.status_code == 404, caller.name
            assert bare(answer) == bare(row.ask(caller, nowhere)), caller.name
    assert rows() == before


@cases(of("staff:"))
def test_pages_of_staff(stage: Stage, row: Row) -> None:
    needs = row.needs.removeprefix("staff:")
    before = rows()
    for caller in stage.telling({needs}):
        answer = row.ask(caller, stage.own)
        if not caller.is_person:
            assert answer.headers["Location"].startswith("/account/login/"), caller.name
        elif needs in caller.rights:
            assert answer.status_code in ({200} if row.method == "GET" else {302, 422}), caller.name
        else:
            assert answer.status_code == 403, caller.name
    assert rows() == before


@cases(of("person"))
def test_whoever_is_signed_in(stage: Stage, row: Row) -> None:
    for caller in stage.telling({"read"}):
        answer = row.ask(caller, stage.own)
        is_sent_to_sign_in = answer.status_code == 302 and answer.headers["Location"].startswith("/account/login/")
        assert is_sent_to_sign_in == (not caller.is_person), caller.name
        assert answer.status_code in PASSED


@cases(of("factor"))
def test_whoever_has_a_second_factor(stage: Stage, row: Row) -> None:
    for caller in stage.telling({"read"}):
        answer = row.ask(caller, stage.own)
        assert answer.status_code == (404 if caller.is_person else 302), caller.name


@cases(of("begun"))
def test_whoever_has_begun(stage: Stage, row: Row) -> None:
    for caller in stage.telling({"read"}):
        answer = row.ask(caller, stage.own)
        beginnings = ("/account/login/", "/account/email/", "/dashboard/")
        assert answer.status_code == 302, caller.name
        assert answer.headers["Location"].startswith(beginnings), (caller.name, answer.headers)


@cases(of("mailed"))
def test_a_link_that_was_not_mailed(stage: Stage, row: Row) -> None:
    before = rows()
    for caller in stage.telling({"read"}):
        assert row.ask(caller, stage.own).status_code in {200, 404, 410}, caller.name
    assert rows() == before


@cases(of("open"))
def test_everybody(stage: Stage, row: Row) -> None:
    for caller in stage.telling({"read"}):
        with transaction.atomic():
            assert row.ask(caller, stage.own).status_code in PASSED, caller.name
            transaction.set_rollback(True)


@cases(of("link"))
def test_whoever_has_the_link(stage: Stage, row: Row) -> None:
    checkout = "payments/portal/" not in row.path
    for caller in stage.telling({"read"}):
        with transaction.atomic():
            # The link here is to a portal: at the checkout it is a wrong one, too.
            assert row.ask(caller, stage.own).status_code in ({410} if checkout else {200, 302, 422}), caller.name
            assert row.ask(caller, stage.missing).status_code == 410, caller.name
            transaction.set_rollback(True)


def test_a_link_reaches_no_charge_of_another(stage: Stage) -> None:
    row = read("POST payments/portal/<token>/charges/<charge_id> link")
    row.ask(stage.callers[0], {**stage.own, "charge_id": stage.other["charge_id"]})
    assert StubCharge.objects.get(id=stage.other["charge_id"]).status == "pending"
    row.ask(stage.callers[0], stage.own)
    assert StubCharge.objects.get(id=stage.own["charge_id"]).status == "failed"


@cases(of("signed"))
def test_what_no_provider_signed(stage: Stage, row: Row) -> None:
    before = rows()
    for caller in stage.telling({"read"}):
        answer = row.ask(caller, stage.own)
        assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid"), caller.name
    assert rows() == before


@cases(of("scraper"))
def test_the_scraper(stage: Stage, row: Row, settings: Settings) -> None:
    settings.METRICS_TOKEN = "token-of-the-scraper"
    for caller in stage.telling({"read"}):
        assert row.ask(caller, stage.own, REMOTE_ADDR="203.0.113.9").status_code == 403, caller.name
    nobody = stage.callers[0]
    assert row.ask(nobody, stage.own, REMOTE_ADDR="127.0.0.1").status_code == 200
    bearer = Caller("scraper", "nobody", frozenset(), nobody.client, key="token-of-the-scraper")
    assert row.ask(bearer, stage.own, REMOTE_ADDR="203.0.113.9").status_code == 200


@pytest.mark.parametrize("page", sorted(ADMIN))
def test_the_admin(stage: Stage, page: str) -> None:
    parameter = ADMIN_ROWS.get(page)
    row = f"admin/{page}/<{parameter or 'case_id'}>/change/"
    for caller in stage.telling({"read"}):
        groups = {caller.name.removeprefix("staff ")} if caller.of == "staff" else set()
        sees = caller.of == "superuser" or bool(groups & ADMIN[page])
        listed, own = (Row("GET", path, "", "", "").ask(caller, stage.own) for path in (f"admin/{page}/", row))
        if caller.of not in ("staff", "superuser"):
            # To its sign-in.
            assert (listed.status_code, own.status_code) == (302, 302), caller.name
            continue
        assert listed.status_code == (200 if sees else 403), caller.name
        assert own.status_code == ((200 if parameter else 302) if sees else 403), caller.name
        if parameter and page != "billing/providerinboxevent":
            theirs = Row("GET", row, "", "", "").ask(caller, stage.other).status_code
            assert theirs == (200 if caller.of == "superuser" else 403), caller.name
        for path in (f"admin/{page}/add/", row, row.replace("change", "delete")):
            assert Row("POST", path, "", "", "").ask(caller, stage.own).status_code == 403, (caller.name, path)


def bare(response: Any) -> bytes:
    """What is said, but for what differs between any two answers."""
    found: bytes = re.sub(rb'"request_id":"[^"]*"|name="csrfmiddlewaretoken" value="\w+"', b"", response.content)
    return found
