"""Pages of reviewers: what waits, one listing to decide about, and the partners."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.kernel.errors import BillingError, Conflict, Forbidden, NotFound
from marketplace import doors
from marketplace.partners import membership, operations, queries, rights
from marketplace.partners.forms import PartnerForm, StepForm
from marketplace.partners.pages import review as pages
from marketplace.partners.transitions import REVIEW_STEPS, Step
from marketplace.partners.views.public import page_number

_SAID = {
    Step.PUBLISH: _("Published."),
    Step.REJECT: _("Rejected. The partner reads your reason."),
    Step.SUSPEND: _("Suspended. It is on no page until it is put back."),
    Step.RESTORE: _("Back on the pages."),
}


@doors.private_page
def queue(request: HttpRequest) -> HttpResponse:
    """What waits for a decision, and other listings by their state."""
    shown = pages.queue_page(
        actor=doors.actor_of(request), shown=request.GET.get("show", ""), number=page_number(request)
    )
    return render(request, "marketplace/partners/review.html", {"page": shown})


@doors.private_form
def listing(request: HttpRequest, listing_slug: str) -> HttpResponse:
    """One listing as it would be published, with what differs from what is; and the decision."""
    actor = doors.actor_of(request)
    found, form, status = queries.get_for_review(listing_slug, actor=actor), StepForm(None), 200
    if request.method == "POST":
        form = StepForm(request.POST)
        if not form.is_valid() or form.cleaned_data["step"] not in REVIEW_STEPS:
            messages.error(request, gettext("This is no step of a reviewer's."))
            return redirect("review-listing", listing_slug=listing_slug)
        said = form.cleaned_data
        step = Step(said["step"])
        try:
            operations.take(
                listing=found,
                step=step,
                actor=actor,
                now=timezone.now(),
                expected_version=said["version"],
                reason=said["reason"],
            )
        except (NotFound, Forbidden):
            raise
        except BillingError as refusal:
            form.refuse(refusal)
            status = 409 if isinstance(refusal, Conflict) else 422
        else:
            messages.success(request, str(_SAID[step]))
            return redirect("review")
    shown = pages.listing_page(listing_slug, actor=actor)
    return render(request, "marketplace/partners/review_listing.html", {"page": shown, "form": form}, status=status)


@doors.private_form
def partners(request: HttpRequest) -> HttpResponse:
    """All partners, and a new one."""
    actor = doors.actor_of(request)
    rights.require_review(actor)
    form, status = PartnerForm(request.POST if request.method == "POST" else None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                made = membership.create_partner(**form.cleaned_data, actor=actor, now=timezone.now())
            except (NotFound, Forbidden):
                raise
            except BillingError as refusal:
                form.refuse(refusal)
                status = 409 if isinstance(refusal, Conflict) else 422
            else:
                messages.success(request, gettext("Made. Now say who its members are."))
                return redirect("partner-members", partner_slug=made.slug)
    shown = pages.partners_page(actor=actor)
    return render(request, "marketplace/partners/review_partners.html", {"page": shown, "form": form}, status=status)
