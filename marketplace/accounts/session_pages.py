"""The page of one's sessions: where one is signed in, and a way to end what one does not know."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from marketplace import wording
from marketplace.accounts import freshness, sessions
from marketplace.wording import Moment

# Who signs in belongs to no place: organizations do.
_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class ShownSession:
    id: str
    began: Moment
    seen: Moment
    is_this: bool


@login_required
def sessions_page(request: HttpRequest) -> HttpResponse:
    """All open ones. Ending one, or all others, wants a password or code of the last minutes."""
    if request.method == "POST":
        return _end(request)
    shown = tuple(
        ShownSession(each.id, wording.moment(each.began_at, _ZONE), wording.moment(each.seen_at, _ZONE), each.is_this)
        for each in sessions.list_open(request)
    )
    return render(request, "account/sessions.html", {"sessions": shown})


def _end(request: HttpRequest) -> HttpResponse:
    if (asked := freshness.ask_again(request)) is not None:
        return asked
    try:
        only = UUID(request.POST["session"]) if request.POST.get("session") else None
    except ValueError:
        return redirect("account_sessions")
    ended = sessions.end_others(request, only=only)
    told = ngettext("%(count)s session is ended.", "%(count)s sessions are ended.", ended) % {"count": ended}
    messages.success(request, told if ended else _("There was no such session any more."))
    return redirect("account_sessions")
