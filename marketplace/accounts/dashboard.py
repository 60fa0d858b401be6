"""Members and keys on an organization's dashboard. What the buttons do are the operations of the API and the CLI."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing.accounts import actors, invitations, members
from billing.accounts import operations as accounts_operations
from billing.accounts import queries as accounts_queries
from billing.accounts.actors import Act
from billing.kernel.errors import Forbidden, Invalid
from marketplace.accounts import mails, pages
from marketplace.accounts.forms import InviteForm, KeyForm
from marketplace.dashboard.frame import Visit, show, visit
from marketplace.doors import private_act, private_form, private_page


@private_page
def members_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Who belongs to the organization, and whom it waits for."""
    here = visit(request, slug, tab="members", act=Act.MEMBERS)
    form = InviteForm(roles=_roles(here))
    return show(request, here, "marketplace/accounts/members.html", page=pages.members_page(here), form=form)


@private_act("members")
def invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask somebody in; once more for an address replaces what was sent to it before."""
    here = visit(request, slug, tab="members", act=Act.MEMBERS)
    invitation, secret = invitations.invite(
        organization=here.organization,
        email=request.POST.get("email", ""),
        role=request.POST.get("role", ""),
        actor=here.actor,
        now=here.now,
    )
    if mails.send_invitation(request, invitation, secret):
        messages.success(request, _("An invitation was sent to %(email)s.") % {"email": invitation.email})
    else:
        messages.warning(
            request, _("The mail to %(email)s could not be sent. Send it again later.") % {"email": invitation.email}
        )
    return redirect("members", slug=slug)


@private_act("members")
def revoke_invitation(request: HttpRequest, slug: str, invitation_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab="members", act=Act.MEMBERS)
    revoked = invitations.revoke(
        organization=here.organization, invitation_id=invitation_id, actor=here.actor, now=here.now
    )
    messages.success(request, _("The invitation of %(email)s is revoked.") % {"email": revoked.email})
    return redirect("members", slug=slug)


@private_act("members")
def change_role(request: HttpRequest, slug: str, user_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab="members", act=Act.MEMBERS)
    changed = members.change_role(
        organization=here.organization, user_id=user_id, role=request.POST.get("role", ""), actor=here.actor
    )
    told = {"email": changed.user.email, "role": pages.role_name(changed.role)}
    messages.success(request, _("%(email)s: %(role)s.") % told)
    # Whoever gave up the right to see this page is not sent there.
    may_stay = user_id != here.actor.user_id or Act.MEMBERS in actors.ROLE_ACTS[changed.role]
    return redirect("members" if may_stay else "dashboard", slug=slug)


@private_act("members")
def remove(request: HttpRequest, slug: str, user_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab="members", act=Act.MEMBERS)
    email = members.get_member(here.organization, user_id).user.email
    members.remove(organization=here.organization, user_id=user_id, actor=here.actor)
    messages.success(request, _("%(email)s is a member no more.") % {"email": email})
    return redirect("dashboard-start") if user_id == here.actor.user_id else redirect("members", slug=slug)


@private_form
def keys_page(request: HttpRequest, slug: str) -> HttpResponse:
    """All keys, and a form for a new one, whose secret is in the answer to the form and nowhere else."""
    here = visit(request, slug, tab="keys", act=Act.KEYS)
    scopes = pages.scope_choices(here)
    form, secret, status = KeyForm(scopes=scopes), "", 200
    if request.method == "POST":
        sent = KeyForm(request.POST, scopes=scopes)
        secret = _create(sent, here) if sent.is_valid() else ""
        form, status = (form, 200) if secret else (sent, 422)
    page = pages.keys_page(here)
    return show(request, here, "marketplace/accounts/keys.html", page=page, form=form, secret=secret, status=status)


@private_act("keys")
def revoke_key(request: HttpRequest, slug: str, key_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab="keys", act=Act.KEYS)
    key = accounts_operations.revoke_key(
        key=accounts_queries.get_key(here.organization, key_id), actor=here.actor, now=here.now
    )
    messages.success(request, _("The key %(name)s is revoked.") % {"name": key.name})
    return redirect("keys", slug=slug)


def _create(form: KeyForm, here: Visit) -> str:
    """The new key's text, or an empty one where the form says what was wrong."""
    typed = form.cleaned_data
    days = int(typed["days"])
    try:
        _key, secret = accounts_operations.create_key(
            organization=here.organization,
            name=typed["name"],
            scopes=typed["scopes"],
            expires_at=here.now + timedelta(days=days) if days else None,
            actor=here.actor,
            once=typed["once"],
        )
    except (Invalid, Forbidden, accounts_operations.KeyMadeAlready) as refusal:
        field = refusal.details.get("field")
        form.add_error(field if field in form.fields else None, refusal.message)
        return ""
    return secret


def _roles(here: Visit) -> tuple[tuple[str, str], ...]:
    return pages.role_choices(with_owners=actors.makes_owners(here.actor, here.organization))
