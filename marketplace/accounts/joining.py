"""Taking up an invitation, with the account that one has or a new one."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.account.models import EmailAddress
from allauth.account.utils import perform_login
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.accounts import invitations
from billing.accounts.invitations import InvitationClosed, InvitationNotFound, InvitationOfAnother
from billing.accounts.operations import UserExists
from billing.kernel.errors import Invalid
from billing.models import Invitation, Membership, User
from marketplace.accounts import pages
from marketplace.accounts.forms import JoinForm


@dataclass(frozen=True, slots=True)
class InvitationPage:
    """``state``: "open", "accepted", "revoked", "expired", and "unknown" for a link that never was. ``reader``: "self"
    for whom it was sent to, "other" for another account, "known" and "new" for who is not signed in."""

    state: str
    reader: str = ""
    organization: str = ""
    slug: str = ""
    role: str = ""
    does: str = ""
    email: str = ""
    invited_by: str = ""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Says what one is asked to; the form of the page takes it up."""
    try:
        found = invitations.get(token)
    except InvitationNotFound:
        return _show(request, InvitationPage("unknown"), status=410)
    shown = _page(request, found)
    if shown.state != "open":
        return _show(request, shown, status=410)
    if request.method != "POST":
        return _show(request, shown, form=JoinForm() if shown.reader == "new" else None)
    try:
        if isinstance(request.user, User):
            joined = invitations.accept(secret=token, user=request.user, now=timezone.now())
            messages.success(request, _("Welcome to %(name)s.") % {"name": joined.organization.name})
            return redirect("dashboard", slug=joined.organization.slug)
        return _join_as_new(request, token, shown)
    except InvitationOfAnother:
        return _show(request, shown, status=403)
    except InvitationClosed:
        return _show(request, _page(request, invitations.get(token)), status=410)


def _join_as_new(request: HttpRequest, token: str, shown: InvitationPage) -> HttpResponse:
    form = JoinForm(request.POST)
    if not form.is_valid():
        return _show(request, shown, form=form, status=422)
    typed = form.cleaned_data
    try:
        with transaction.atomic():
            joined = invitations.accept_as_new(
                secret=token, password=typed["password"], name=typed["name"], now=timezone.now()
            )
            # Whoever holds the link reads the address's mail.
            EmailAddress.objects.create(user=joined.user, email=joined.user.email, verified=True, primary=True)
    except UserExists:
        # They have an account, and sign in with it: this page does not make its password anew.
        return redirect(f"{reverse('account_login')}?next={request.path}")
    except Invalid as refusal:
        field = refusal.details.get("field")
        form.add_error(field if field in form.fields else None, refusal.message)
        return _show(request, shown, form=form, status=422)
    messages.success(request, _("Welcome to %(name)s.") % {"name": joined.organization.name})
    return _sign_in(request, joined)


def _sign_in(request: HttpRequest, joined: Membership) -> HttpResponse:
    target = reverse("dashboard", args=[joined.organization.slug])
    answer: HttpResponse = perform_login(request, joined.user, redirect_url=target)
    return answer


def _page(request: HttpRequest, found: Invitation) -> InvitationPage:
    name, does = pages.ROLES[found.role]
    return InvitationPage(
        state=invitations.state(found, timezone.now()),
        reader=_reader(request, found),
        organization=found.organization.name,
        slug=found.organization.slug if _is_of(request, found) else "",
        role=str(name),
        does=str(does),
        email=found.email,
        invited_by=found.invited_by.email if found.invited_by else "",
    )


def _reader(request: HttpRequest, found: Invitation) -> str:
    if isinstance(request.user, User):
        return "self" if request.user.email.lower() == found.email else "other"
    return "known" if User.objects.filter(email__iexact=found.email).exists() else "new"


def _is_of(request: HttpRequest, found: Invitation) -> bool:
    return isinstance(request.user, User) and found.accepted_by_id == request.user.id


def _show(
    request: HttpRequest, shown: InvitationPage, *, form: JoinForm | None = None, status: int = 200
) -> HttpResponse:
    return render(request, "marketplace/accounts/invitation.html", {"page": shown, "form": form}, status=status)
