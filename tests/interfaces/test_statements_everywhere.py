"""No page issues more than fifteen statements, and none issues more of them for more rows: the browser tests' table of
pages, opened as it stands and again when everything that a page can show has become more.

Lists and pages of the desk, by the table of its models, are in ``tests/interfaces/admin/test_pages.py``.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.accounts import invitations, members
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import Act
from billing.catalog import operations as catalog_operations
from billing.catalog import parsing
from billing.lifecycle import adjust, clock, usage
from billing.metering.offers import Offer
from billing.models import Organization, Role, Subscription, WebhookEndpoint
from billing.notifications.operations import endpoints, queue
from marketplace.models import Partner
from marketplace.partners.transitions import Step
from tests.browser import stage
from tests.browser.pages import NO_PAGE, ROWS
from tests.browser.stage import OPERATOR, SOLO, Stage
from tests.support import partners

STATEMENTS_MAX = 15
# A change of plan is rehearsed by the operation itself and rolled back: four invoices are derived, and a grant that
# lapses with the old plan is booked. Not a view of a page's kind, and bounded on its own.
REHEARSAL_MAX = 200
MORE = 6


def test_fifteen_statements_however_much_there_is(real_db: str) -> None:
    shown = stage.set_up()
    # One of each to begin with: what there is none of is not asked about.
    grow(shown, range(1))
    few = costs(shown)
    grow(shown, range(1, MORE))
    many = costs(shown)
    assert rehearsal(shown) <= REHEARSAL_MAX
    assert {page: cost for page, cost in many.items() if cost > STATEMENTS_MAX} == {}
    assert {page: (few[page], cost) for page, cost in many.items() if cost > few[page]} == {}


def costs(shown: Stage) -> dict[str, int]:
    """Statements by page, of its second visit: what a process keeps from a first one is not the page's own."""
    visitors = {"nobody": Client()}
    for name, user in shown.people.items():
        visitors[name] = Client()
        visitors[name].cookies[django_settings.SESSION_COOKIE_NAME] = stage.session_of(user)
    found = {}
    for row in ROWS:
        if row.who not in NO_PAGE:
            url = row.url(shown.names)
            visitors[row.who].get(url)
            with CaptureQueriesContext(connection) as asked:
                answer = visitors[row.who].get(url)
            assert answer.status_code == row.status, (str(row), answer)
            found[str(row)] = len(asked)
    return found


def rehearsal(shown: Stage) -> int:
    """Statements of previewing a change to another plan."""
    owner = Client()
    owner.cookies[django_settings.SESSION_COOKIE_NAME] = stage.session_of(shown.people["owner"])
    with CaptureQueriesContext(connection) as asked:
        answer = owner.post("/dashboard/demo-free/plan/preview/", {"plan": "team"})
    assert answer.status_code == 200, answer
    return len(asked)


def grow(shown: Stage, more: range) -> None:
    now = timezone.now()
    plans = "".join(SOLO.replace("  solo:", f"  solo{each}:", 1) for each in range(more.stop))
    catalog = django_settings.BILLING_PLANS_FILE.read_text() + SOLO + plans
    catalog_operations.sync(spec=parsing.load(catalog, name="more"), actor="more", now=now)
    for slug in ("demo-sandbox", "demo-free", "demo-drafted"):
        live(Organization.objects.get(slug=slug), shown, more)
    northwind = Partner.objects.get(slug="northwind")
    for each in more:
        partners.partner(f"more-{each}")
        author = partners.actor(partners.member(northwind))
        partners.published(northwind, f"published-{each}", by=author)
        partners.step(partners.listing(northwind, f"waits-{each}", by=author), Step.SUBMIT, by=author)


def live(organization: Organization, shown: Stage, more: range) -> None:
    """More of everything that an organization's pages list."""
    now = organization.clock_at or timezone.now()
    actor = OPERATOR
    for each in more:
        name = f"{organization.slug}-{each}"
        user = accounts_operations.create_user(email=f"{name}@more.example", password="a long enough password")
        members.set_role(organization=organization, user=user, role=Role.MEMBER, actor=actor)
        invitations.invite(
            organization=organization, email=f"asked-{name}@more.example", role=Role.MEMBER, actor=actor, now=now
        )
        accounts_operations.create_key(organization=organization, name=name, scopes=[Act.READ], actor=actor)
        made, _ = endpoints.create(
            organization=organization, url=f"https://{name}.example/", actor=actor, now=timezone.now()
        )
        queue.send_test(endpoint=made, actor=actor, now=timezone.now(), told_at=timezone.now())
    for endpoint in WebhookEndpoint.objects.filter(id=shown.names["endpoint_id"], organization=organization):
        for _ in more:
            queue.send_test(endpoint=endpoint, actor=actor, now=timezone.now(), told_at=timezone.now())
    for each in more:
        adjust.adjust(
            subscription=subscription_of(organization),
            credits=Decimal(each + 1),
            reason=f"more {each}",
            actor=actor,
            now=now,
        )
    meters = ("case_created", "evaluation_run", "document_generated", "llm_context_tokens")
    offers = [
        Offer(organization, meter, Decimal(each + 1), key=f"more:{meter}:{each}") for each in more for meter in meters
    ]
    usage.record(offers, now=now)
    # Refused, each for a reason of its own.
    usage.record([Offer(organization, meter, Decimal(10**9), key=f"over:{meter}") for meter in meters], now=now)
    if organization.is_sandbox:
        clock.advance(organization=organization, to=now + timedelta(days=31 * len(more)), actor=actor)


def subscription_of(organization: Organization) -> Subscription:
    return Subscription.objects.get(organization=organization, ended_at=None)
