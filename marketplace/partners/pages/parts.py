"""What these pages have in common: states and steps in words, pictures, the history of a listing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from marketplace import wording
from marketplace.models import Listing, ListingRevision, ListingTransition, PartnerRole
from marketplace.partners import queries
from marketplace.partners.transitions import REVIEW_STEPS, Change, State, Status, Step
from marketplace.wording import Label, Moment

# Listings belong to no organization, so there is no zone of one to show times in.
ZONE = ZoneInfo("UTC")
HISTORY_SHOWN_MAX = 50

_STATUS = {
    Status.DRAFT: (_("Draft"), "calm"),
    Status.SUBMITTED: (_("In review"), "warn"),
    Status.REJECTED: (_("Rejected"), "bad"),
    Status.PUBLISHED: (_("Published"), "good"),
    Status.SUSPENDED: (_("Suspended"), "bad"),
    Status.WITHDRAWN: (_("Withdrawn"), "calm"),
}
_CHANGE = {
    Change.DRAFT: (_("Change not submitted"), "calm"),
    Change.SUBMITTED: (_("Change in review"), "warn"),
    Change.REJECTED: (_("Change rejected"), "bad"),
}
_TAKEN = {
    Step.EDIT: _("Edited"),
    Step.SUBMIT: _("Submitted for review"),
    Step.RECALL: _("Taken back"),
    Step.DISCARD: _("Change discarded"),
    Step.WITHDRAW: _("Withdrawn"),
    Step.PUBLISH: _("Published"),
    Step.REJECT: _("Rejected"),
    Step.SUSPEND: _("Suspended"),
    Step.RESTORE: _("Back on the pages"),
}
_ROLE = {PartnerRole.ADMIN: _("Admin"), PartnerRole.EDITOR: _("Editor")}


@dataclass(frozen=True, slots=True)
class Picture:
    reference: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Website:
    """``host`` is what a reader should see of where the link leads."""

    address: str
    host: str


@dataclass(frozen=True, slots=True)
class Text:
    """A revision to read."""

    number: int
    name: str
    summary: str
    description: str
    category: str
    website: Website | None
    plan_code: str
    plan: str
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Happening:
    at: Moment
    what: str
    who: str
    reason: str
    revision: int


def labels(state: State) -> tuple[Label, ...]:
    """The listing's state, and that of the change under way where there is one."""
    found = [_STATUS[state.status]]
    if state.change:
        found.append(_CHANGE[state.change])
    return tuple(Label(str(text), tone) for text, tone in found)


def taken(step: str) -> str:
    """A step that was taken, in words."""
    return str(_TAKEN[Step(step)]) if step else gettext("Begun")


def role(value: str) -> str:
    return str(_ROLE[PartnerRole(value)])


def picture(revision: ListingRevision) -> Picture | None:
    image = revision.image
    return Picture(str(image.id), image.width, image.height) if image else None


def website(address: str) -> Website | None:
    return Website(address, urlsplit(address).hostname or address) if address else None


def text(revision: ListingRevision) -> Text:
    return Text(
        number=revision.number,
        name=revision.name,
        summary=revision.summary,
        description=revision.description,
        category=revision.category.name,
        website=website(revision.website),
        plan_code=revision.plan_code,
        plan=plan_name(revision),
        picture=picture(revision),
    )


def plan_name(revision: ListingRevision) -> str:
    return wording.name(revision.plan_code) if revision.plan_code else ""


def history(listing: Listing, *, people: frozenset[str] | None) -> tuple[Happening, ...]:
    """The last steps, the newest first. ``people`` are the actors who are named; others are the marketplace's. None:
    everybody is."""
    rows: Sequence[ListingTransition] = queries.list_history(listing, limit=HISTORY_SHOWN_MAX)
    names = queries.names_of({row.actor for row in rows if people is None or row.actor in people})
    by_staff = gettext("The marketplace")

    def by_program(actor: str) -> str:
        kinds = {"system": gettext("The system"), "cli": gettext("An operator"), "key": gettext("A program")}
        return kinds.get(actor.partition(":")[0], gettext("Somebody who left"))

    def who(row: ListingTransition) -> str:
        if people is None:
            return names.get(row.actor) or by_program(row.actor)
        if row.actor not in people and row.step in REVIEW_STEPS:
            return by_staff
        return names.get(row.actor) or gettext("Somebody who left")

    return tuple(
        Happening(wording.moment(row.recorded_at, ZONE), taken(row.step), who(row), row.reason, row.revision.number)
        for row in rows
    )
