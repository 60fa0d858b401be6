"""A plan's service level as it is read before it is accepted, and as it was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils.translation import gettext as _

from billing.accounts.actors import Actor
from billing.infra import client_address
from billing.kernel.errors import Invalid
from billing.lifecycle import sla
from billing.models import Organization, Plan, PricingPlan
from marketplace import wording
from marketplace.typed import typed
from marketplace.wording import Moment


class TermsNotAccepted(Invalid):
    """The box beside the terms was left empty."""

    code = "terms_not_accepted"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be read: ``version`` goes along with the form, so that no other one is accepted."""

    tier: str
    version: str
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which terms were accepted, when, by whom and from where; ``is_of_plan`` where they are the present plan's."""

    tier: str
    version: str
    plan: str
    at: Moment
    by: str
    address: str


def terms_of(plan: Plan) -> Terms | None:
    """None for a plan that has none to accept. Reads ``pricing_plan``."""
    return terms_of_shown(getattr(plan, "pricing_plan", None))


def terms_of_shown(shown: PricingPlan | None) -> Terms | None:
    """As ``terms_of``, of a plan as the shop shows it."""
    if shown is None or not shown.sla_version:
        return None
    return Terms(tier(shown.sla_tier), shown.sla_version, shown.sla_terms)


def tier(value: str) -> str:
    return value.replace("-", " ").capitalize()


def accepted(kept: Mapping[str, Any] | None, zone: ZoneInfo, *, actor: str) -> Accepted | None:
    """``kept`` as stored with a subscription; ``actor`` is who reads it, for "you"."""
    if not kept:
        return None
    return Accepted(
        tier=tier(kept["sla_tier"]),
        version=kept["sla_version"],
        plan=f"{kept['plan']} v{kept['plan_version']}",
        at=wording.moment(datetime.fromisoformat(kept["accepted_at"]), zone),
        by=_who(kept["accepted_by"], actor),
        address=kept["from"],
    )


def _who(name: str, reader: str) -> str:
    if name == reader:
        return _("you")
    kinds = {"user": _("a person of the organization"), "key": _("a program"), "cli": _("an operator")}
    return kinds.get(name.partition(":")[0], name)


def read(request: HttpRequest, *, actor: Actor, organization: Organization) -> sla.Acceptance | None:
    """What the form says was read and accepted; None from staff, who accept nothing in a customer's name. Raises
    ``TermsNotAccepted``.

    A form without terms accepts "none": where the plan has some by now, they have to be read first.
    """
    if organization.id not in actor.roles:
        return None
    version = typed(request, "terms")[:40]
    if version and typed(request, "accept") != "yes":
        raise TermsNotAccepted(_("Read the terms and accept them first."), field="accept")
    return sla.Acceptance(version=version, address=client_address.of(request.META))
