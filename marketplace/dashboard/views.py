"""An organization's pages: find out who asks, make one call for frozen page data, render it in its frame."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from billing.accounts.actors import Act
from marketplace.dashboard import credits, guardrails, invoices, overview, refusals, usage
from marketplace.dashboard.frame import list_organizations, show, visit
from marketplace.doors import actor_of, private_page


@private_page
def start(request: HttpRequest) -> HttpResponse:
    """To the first of the person's organizations, or a page that says there is none."""
    choices = list_organizations(actor_of(request))
    if choices:
        return redirect("dashboard", slug=choices[0].slug)
    return render(request, "marketplace/no_organization.html")


@private_page
def overview_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Where one organization stands."""
    here = visit(request, slug, tab="dashboard")
    page = overview.dashboard_page(organization=here.organization, actor=here.actor, now=here.now)
    return show(request, here, "marketplace/dashboard/overview.html", page=page)


@private_page
def usage_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Use by day of one meter, over a calendar month or the billing period."""
    here = visit(request, slug, tab="usage")
    page = usage.usage_page(
        organization=here.organization,
        month=request.GET.get("month", ""),
        span=request.GET.get("span", ""),
        meter=request.GET.get("meter", ""),
        actor=here.actor,
        at=here.at,
    )
    return show(request, here, "marketplace/dashboard/usage.html", page=page)


@private_page
def credits_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What is left of each grant, and the ledger."""
    here = visit(request, slug, tab="credits")
    page = credits.credits_page(organization=here.organization, query=request.GET, actor=here.actor, at=here.at)
    return show(request, here, "marketplace/dashboard/credits.html", page=page)


@private_page
def invoices_page(request: HttpRequest, slug: str) -> HttpResponse:
    """All invoices, and the money balance."""
    here = visit(request, slug, tab="invoices", act=Act.MONEY)
    page = invoices.invoices_page(organization=here.organization, query=request.GET, actor=here.actor)
    return show(request, here, "marketplace/dashboard/invoices.html", page=page)


@private_page
def invoice_page(request: HttpRequest, slug: str, invoice_id: UUID) -> HttpResponse:
    """One invoice with its lines."""
    here = visit(request, slug, tab="invoices", act=Act.MONEY)
    page = invoices.invoice_page(
        organization=here.organization,
        invoice_id=invoice_id,
        actor=here.actor,
        today=here.at.astimezone(here.zone).date(),
    )
    return show(request, here, "marketplace/dashboard/invoice.html", page=page)


@private_page
def refusals_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Why use was refused lately, and what would lift it."""
    here = visit(request, slug, tab="refusals")
    page = refusals.refusals_page(organization=here.organization, actor=here.actor, now=here.now, at=here.at)
    return show(request, here, "marketplace/dashboard/refusals.html", page=page)


@private_page
def guardrails_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Use by guardrail flag in one month, and debits that wait."""
    here = visit(request, slug, tab="guardrails")
    page = guardrails.guardrails_page(
        organization=here.organization, month=request.GET.get("month", ""), actor=here.actor, now=here.now
    )
    return show(request, here, "marketplace/dashboard/guardrails.html", page=page)
