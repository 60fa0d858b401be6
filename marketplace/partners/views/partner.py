"""Pages of partners: their listings, each with its states and what can be done to it, and who is a member."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.catalog import queries as catalog_queries
from billing.kernel import ids
from billing.kernel.errors import BillingError, Conflict, Forbidden, NotFound
from marketplace import doors
from marketplace.models import Listing, Partner
from marketplace.partners import membership, operations, queries, rights
from marketplace.partners.forms import ListingForm, MemberForm, StepForm
from marketplace.partners.pages import partner as pages
from marketplace.partners.transitions import PARTNER_STEPS, Step

_SAID = {
    Step.SUBMIT: _("Submitted. The marketplace will review it."),
    Step.RECALL: _("Taken back. You can edit it again."),
    Step.DISCARD: _("The change is gone; the published text stays."),
    Step.WITHDRAW: _("Withdrawn. It is on no page any more."),
}


@doors.private_page
def start(request: HttpRequest) -> HttpResponse:
    """The partners that the person is a member of."""
    shown = pages.start_page(doors.actor_of(request))
    return render(request, "marketplace/partners/start.html", {"page": shown})


@doors.private_page
def partner(request: HttpRequest, partner_slug: str) -> HttpResponse:
    """A partner's listings."""
    shown = pages.partner_page(partner_slug, actor=doors.actor_of(request))
    return render(request, "marketplace/partners/partner.html", {"page": shown})


@doors.private_form
def new(request: HttpRequest, partner_slug: str) -> HttpResponse:
    """Begin a listing."""
    actor, of = doors.actor_of(request), queries.get_partner(partner_slug)
    rights.require_edit(actor, of)
    if request.method != "POST":
        return _form(request, of, None, _listing_form(request, None))
    form = _listing_form(request, None)
    if _is_sound(request, form):
        try:
            listing = operations.create(
                partner=of,
                slug=form.cleaned_data["slug"],
                text=form.text(),
                image=form.image_bytes(),
                actor=actor,
                now=timezone.now(),
            )
        except (NotFound, Forbidden):
            raise
        except BillingError as refusal:
            form.refuse(refusal)
            return _form(request, of, None, form, status=_status(refusal))
        messages.success(request, gettext("Saved as a draft. Submit it when it is ready."))
        return redirect("partner-listing", partner_slug=of.slug, listing_slug=listing.slug)
    return _form(request, of, None, form, status=422)


@doors.private_form
def edit(request: HttpRequest, partner_slug: str, listing_slug: str) -> HttpResponse:
    """Write a listing's text anew. What is published stays so until the new text has passed review."""
    actor, of = doors.actor_of(request), queries.get_partner(partner_slug)
    rights.require_edit(actor, of)
    listing = queries.get_listing(of, listing_slug)
    form = _listing_form(request, listing)
    if request.method != "POST":
        return _form(request, of, listing, form)
    if _is_sound(request, form):
        try:
            operations.edit(
                listing=listing,
                text=form.text(),
                image=form.image_bytes(),
                drops_image=form.cleaned_data.get("drops_image", False),
                actor=actor,
                now=timezone.now(),
                expected_version=form.cleaned_data["version"],
            )
        except (NotFound, Forbidden):
            raise
        except BillingError as refusal:
            form.refuse(refusal)
            return _form(request, of, listing, form, status=_status(refusal))
        messages.success(request, gettext("Saved. Submit it when it is ready."))
        return redirect("partner-listing", partner_slug=of.slug, listing_slug=listing.slug)
    return _form(request, of, listing, form, status=422)


@doors.private_form
def listing(request: HttpRequest, partner_slug: str, listing_slug: str) -> HttpResponse:
    """One listing with its state, reasons and history; and the steps that its members take."""
    actor = doors.actor_of(request)
    if request.method != "POST":
        shown = pages.listing_page(partner_slug, listing_slug, actor=actor)
        return render(request, "marketplace/partners/partner_listing.html", {"page": shown})
    of = queries.get_partner(partner_slug)
    rights.require_edit(actor, of)
    found, form = queries.get_listing(of, listing_slug), StepForm(request.POST)
    if not form.is_valid() or form.cleaned_data["step"] not in PARTNER_STEPS:
        messages.error(request, gettext("This is no step of a partner's."))
        return redirect("partner-listing", partner_slug=partner_slug, listing_slug=listing_slug)
    step = Step(form.cleaned_data["step"])
    operations.take(
        listing=found, step=step, actor=actor, now=timezone.now(), expected_version=form.cleaned_data["version"]
    )
    messages.success(request, str(_SAID[step]))
    return redirect("partner-listing", partner_slug=partner_slug, listing_slug=listing_slug)


@doors.private_form
def members(request: HttpRequest, partner_slug: str) -> HttpResponse:
    """Who is a member; admins and reviewers add, change and remove them."""
    actor = doors.actor_of(request)
    form = MemberForm(request.POST if request.method == "POST" and "remove" not in request.POST else None)
    status = 200
    if request.method == "POST":
        of = queries.get_partner(partner_slug)
        rights.require_members(actor, of)
        if "remove" in request.POST:
            _remove(request, of)
            return redirect("partner-members", partner_slug=partner_slug)
        status = 422
        if form.is_valid():
            said = form.cleaned_data
            try:
                membership.set_member(
                    partner=of, email=said["email"], role=said["role"], actor=actor, now=timezone.now()
                )
            except (NotFound, Forbidden):
                raise
            except BillingError as refusal:
                form.refuse(refusal)
                status = _status(refusal)
            else:
                messages.success(request, gettext("Saved."))
                return redirect("partner-members", partner_slug=partner_slug)
    shown = pages.members_page(partner_slug, actor=actor)
    return render(request, "marketplace/partners/members.html", {"page": shown, "form": form}, status=status)


def _remove(request: HttpRequest, of: Partner) -> None:
    person: UUID | None = ids.parse_uuid(request.POST["remove"])
    if person is not None:
        membership.remove_member(partner=of, user_id=person, actor=doors.actor_of(request))
    # Removed by somebody else, or by the first of two clicks, they are as much gone.
    messages.success(request, gettext("No member any more."))


def _listing_form(request: HttpRequest, listing: Listing | None) -> ListingForm:
    return ListingForm(
        *((request.POST, request.FILES) if request.method == "POST" else ()),
        categories=[(row.code, row.name) for row in queries.list_categories()],
        plans=[(plan.code, plan.name) for plan in catalog_queries.list_plans_for_shop()],
        listing=listing,
    )


def _is_sound(request: HttpRequest, form: ListingForm) -> bool:
    is_valid = form.is_valid()
    if "version" in form.errors:
        # It is in no field that a person sees.
        form.add_error(None, gettext("This form is not whole: load the page again."))
    # An upload beyond this was dropped while it came in: without a word it would look as if none had been chosen.
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
        form.add_error("image", gettext("This file is too large."))
        return False
    return is_valid


def _form(
    request: HttpRequest, of: Partner, listing: Listing | None, form: ListingForm, *, status: int = 200
) -> HttpResponse:
    shown: dict[str, Any] = {"partner": {"slug": of.slug, "name": of.name}, "listing": None, "form": form}
    if listing is not None:
        shown["listing"] = {
            "slug": listing.slug,
            "name": listing.latest.name,
            "rejected_reason": listing.rejected_reason,
            "is_public": listing.published_id is not None,
        }
    return render(request, "marketplace/partners/listing_form.html", shown, status=status)


def _status(refusal: BillingError) -> int:
    return 409 if isinstance(refusal, Conflict) else 422
