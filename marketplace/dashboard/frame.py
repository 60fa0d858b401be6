"""What surrounds every page about an organization: its name, the person's other organizations, and the tabs that
their rights open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.accounts import actors
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act, Actor
from billing.models import Organization
from marketplace import wording
from marketplace.doors import actor_of
from marketplace.partners import queries as partner_queries
from marketplace.partners import rights
from marketplace.wording import Moment


@dataclass(frozen=True, slots=True)
class Tab:
    """One of an organization's pages: the name of its URL, which takes the slug, and the rights of which one opens
    it."""

    url: str
    text: str | Promise
    rights: tuple[Act, ...]


TABS = (
    Tab("dashboard", _("Overview"), (Act.READ,)),
    Tab("usage", _("Usage"), (Act.READ,)),
    Tab("credits", _("Credits"), (Act.READ,)),
    Tab("invoices", _("Invoices"), (Act.MONEY,)),
    Tab("refusals", _("Refusals"), (Act.READ,)),
    Tab("guardrails", _("Guardrails"), (Act.READ,)),
    Tab("webhooks", _("Webhooks"), (Act.WEBHOOKS,)),
    Tab("plan", _("Plan"), (Act.READ,)),
    Tab("desk", _("Desk"), (Act.INVOICES,)),
    Tab("members", _("Members"), (Act.MEMBERS,)),
    Tab("keys", _("Keys"), (Act.KEYS,)),
)


@dataclass(frozen=True, slots=True)
class TabView:
    url: str
    text: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class OrganizationChoice:
    slug: str
    name: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """``listings_waiting`` is how many partner listings wait for a decision; None for whoever makes none."""

    slug: str
    name: str
    zone: str
    sandbox_at: Moment | None
    organizations: tuple[OrganizationChoice, ...]
    tabs: tuple[TabView, ...]
    listings_waiting: int | None


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody on one of an organization's pages. ``now`` is real time, ``at`` the organization's own."""

    organization: Organization
    actor: Actor
    zone: ZoneInfo
    now: datetime
    at: datetime
    tab: str

    def may(self, act: Act) -> bool:
        return actors.may(self.actor, act, self.organization)


def visit(request: HttpRequest, slug: str, *, tab: str, act: Act = Act.READ) -> Visit:
    """Whoever asks, about the organization ``slug``. Raises ``OrganizationNotFound`` or ``Forbidden`` without the
    right to ``act`` there. Four queries at most."""
    organization, actor = accounts_queries.get_organization(slug), actor_of(request)
    actors.require(actor, act, organization)
    actors.serve(actor)
    now = timezone.now()
    return Visit(
        organization=organization,
        actor=actor,
        zone=ZoneInfo(organization.zone),
        now=now,
        at=accounts_queries.now_for(organization, now),
        tab=tab,
    )


def show(request: HttpRequest, visit: Visit, template: str, *, status: int = 200, **shown: Any) -> HttpResponse:
    """The page ``template`` in its frame. One query."""
    return render(request, template, {"frame": frame(visit), **shown}, status=status)


def frame(visit: Visit) -> Frame:
    organization = visit.organization
    return Frame(
        slug=organization.slug,
        name=organization.name,
        zone=organization.zone,
        sandbox_at=wording.moment(visit.at, visit.zone) if organization.is_sandbox else None,
        organizations=tuple(
            OrganizationChoice(each.slug, each.name, is_chosen=each.id == organization.id)
            for each in list_organizations(visit.actor)
        ),
        tabs=tuple(
            TabView(tab.url, str(tab.text), is_chosen=tab.url == visit.tab)
            for tab in TABS
            if any(visit.may(right) for right in tab.rights)
        ),
        listings_waiting=partner_queries.count_waiting() if rights.reviews(visit.actor) else None,
    )


def list_organizations(actor: Actor) -> list[Organization]:
    """Those that the person is a member of, by name."""
    return list(Organization.objects.filter(id__in=actor.roles.keys()).order_by("name", "slug"))
