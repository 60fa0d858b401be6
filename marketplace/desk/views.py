"""Acts of staff on an organization's dashboard: draft its invoice, top up its credits."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing.accounts.actors import Act
from billing.credits.operations import CreditsInvalid
from billing.infra import idempotency
from billing.infra.idempotency import Kept
from billing.invoicing import operations as invoicing_operations
from billing.invoicing.errors import NoEndedPeriod
from billing.kernel.decimals import ZERO, parse_decimal, plain
from billing.kernel.instants import read_day
from billing.kernel.periods import Cadence, calendar_window
from billing.lifecycle import adjust
from billing.models import GrantKind, Subscription
from marketplace import wording
from marketplace.accounts import freshness
from marketplace.dashboard.frame import Visit, show, visit
from marketplace.desk import pages
from marketplace.doors import private_act, private_page
from marketplace.typed import typed

TAB = "desk"
KINDS = (GrantKind.ADJUSTMENT, GrantKind.PROMOTION)


@private_page
def desk_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What staff can do here."""
    here = visit(request, slug, tab=TAB, act=Act.INVOICES)
    return show(request, here, "marketplace/desk/desk.html", page=pages.desk_page(here))


@private_act(TAB)
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """What the invoice of the running period would say by now."""
    here = visit(request, slug, tab=TAB, act=Act.INVOICES)
    page = pages.open_period_page(here, _subscription(here))
    return show(request, here, "marketplace/desk/preview.html", page=page)


@private_act(TAB)
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    """Draft the invoice of the last ended period, or bring its draft up to the books; then look at it."""
    here = visit(request, slug, tab=TAB, act=Act.INVOICES)
    if (stale := freshness.ask_again(request)) is not None:
        return stale
    invoice = invoicing_operations.draft(subscription=_subscription(here), actor=here.actor, now=here.at)
    if invoice.number:
        messages.info(request, _("The invoice of this period is out already."))
    else:
        messages.success(request, _("Drafted. It follows the books until it is issued."))
    return redirect("invoice", slug=slug, invoice_id=invoice.id)


@private_act(TAB)
def top_up(request: HttpRequest, slug: str) -> HttpResponse:
    """Give credits, with a reason; above a set amount a second person has to approve."""
    here = visit(request, slug, tab=TAB, act=Act.CREDITS)
    if (stale := freshness.ask_again(request)) is not None:
        return stale
    subscription, credits = _subscription(here), _credits(request)
    kind, expires_at = _kind(request), _expires_at(request, here.zone)
    reason = typed(request, "reason")

    def give() -> Kept:
        given = adjust.adjust(
            subscription=subscription,
            credits=credits,
            actor=here.actor,
            reason=reason,
            now=here.at,
            kind=kind,
            expires_at=expires_at,
        )
        return Kept(202 if given.request else 201, "")

    asked = json.dumps([str(subscription.id), plain(credits), kind, str(expires_at), reason])
    kept = idempotency.once(
        caller=here.actor.name,
        key=idempotency.check_key(typed(request, "key")),
        fingerprint=hashlib.sha256(f"desk.credits {asked}".encode()).digest(),
        act=give,
    )
    words = {"credits": wording.number(credits)}
    if kept.status == 202:
        messages.warning(request, _("%(credits)s credits are asked for: a second person has to approve them.") % words)
    else:
        messages.success(request, _("%(credits)s credits were given.") % words)
    return redirect(TAB, slug=slug)


def _subscription(here: Visit) -> Subscription:
    found = pages.find_subscription(here)
    if found is None:
        raise NoEndedPeriod(_("This organization never had a subscription."))
    return found


def _credits(request: HttpRequest) -> Decimal:
    try:
        credits = parse_decimal(typed(request, "credits").strip())
    except ValueError as error:
        raise CreditsInvalid(_("Credits: a number such as 12.5 is needed."), field="credits") from error
    if credits <= ZERO:
        raise CreditsInvalid(_("More than nothing has to be given."), field="credits")
    return credits


def _kind(request: HttpRequest) -> GrantKind:
    kind = typed(request, "kind") or GrantKind.ADJUSTMENT
    if kind not in KINDS:
        raise CreditsInvalid(_("Choose what kind of credits these are."), field="kind")
    return GrantKind(kind)


def _expires_at(request: HttpRequest, zone: ZoneInfo) -> datetime | None:
    """The first instant after the day that is named, in the organization's zone."""
    text = typed(request, "expires_on").strip()
    if not text:
        return None
    try:
        noon = datetime.combine(read_day(text), time(12), zone)
    except ValueError as error:
        raise CreditsInvalid(_("The last day has to be a date."), field="expires_at") from error
    return calendar_window(Cadence.DAILY, noon, zone).ends_at
