"""Acts on one object or on many: what is asked first, what is said of each afterwards.

An act is one operation of the engine. Before it runs its page asks for whatever it needs, above all why; each row is
done on its own, and told of on its own: a refusal stops none of the others. What a form did is kept under the form's
own token, so that a double click, or a second try after a lost answer, does it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.dataclasses import UnfoldAction

from billing.accounts.actors import Act, Actor
from billing.admin import fresh
from billing.admin.asking import ActForm, Confirm
from billing.admin.base import Desk, actor_of, link, may_any, now_of
from billing.infra import idempotency
from billing.infra.idempotency import Kept
from billing.kernel.errors import BillingError

# Rows of one go: each is a transaction, and somebody waits for the answer.
ROWS_MAX = 200
RETRIED = 1


@dataclass(frozen=True, slots=True)
class DeskAct:
    """``run`` calls the operation and says what became of the row; ``given`` is what the form was filled in with.

    ``offered`` hides an act from an object's page where it makes no sense; the operation refuses it all the same.
    ``is_once`` is false for what calls a provider, which happens in no transaction.
    """

    name: str
    title: str
    right: Act
    run: Callable[[Any, Actor, Mapping[str, Any], datetime], str]
    form: type[ActForm] = Confirm
    offered: Callable[[Any], bool] = lambda row: True
    icon: str = "arrow_forward"
    is_bulk: bool = True
    is_grave: bool = False
    is_once: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row."""

    name: str
    href: str
    text: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class Link:
    title: str
    href: str
    icon: str
    is_grave: bool


class ActingDesk(Desk):
    """A page whose rows can be acted on."""

    acts: ClassVar[Sequence[DeskAct]] = ()

    def may(self, request: HttpRequest, act: DeskAct) -> bool:
        return may_any(request, act.right)

    def get_urls(self) -> list[URLPattern]:
        views = [
            path(
                f"<path:object_id>/act/{act.name}/",
                self.admin_site.admin_view(partial(self.act_on_one, act=act)),
                name=self._url_name(act),
            )
            for act in self.acts
        ]
        return [*views, *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[Callable[..., Any], str, str]]:
        """One for each act that the person may do: it asks first, on a page of its own."""
        return {
            act.name: (partial(_ask_of_many, act=act), act.name, act.title)
            for act in self.acts
            if act.is_bulk and self.may(request, act)
        }

    def get_actions_row(self, request: HttpRequest) -> list[UnfoldAction]:
        return [
            UnfoldAction(action_name=self._url_name(act), method=_Plain, description=act.title, path="", icon=act.icon)
            for act in self.acts
            if self.may(request, act)
        ]

    def acts_on(self, request: HttpRequest, row: Any) -> list[Link]:
        return [
            Link(act.title, self.act_url(act, row.pk), act.icon, act.is_grave)
            for act in self.acts
            if self.may(request, act) and act.offered(row)
        ]

    def act_url(self, act: DeskAct, pk: object) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name(act)}", args=(pk,))

    def _url_name(self, act: DeskAct) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_act_{act.name}"

    # --- The two ways in ---

    def act_on_one(self, request: HttpRequest, object_id: str, *, act: DeskAct) -> HttpResponse:
        row = self.find(request, object_id)
        if row is None:
            return self.gone(request, object_id)
        return self._act(request, act, [row], single=row)

    def act_on_many(self, request: HttpRequest, act: DeskAct, rows: QuerySet[Any]) -> HttpResponse:
        chosen = list(rows.order_by("pk")[: ROWS_MAX + 1])
        if len(chosen) > ROWS_MAX:
            messages.error(request, f"At most {ROWS_MAX} at a time.")
            return HttpResponseRedirect(request.get_full_path())
        return self._act(request, act, chosen, single=None)

    def _act(self, request: HttpRequest, act: DeskAct, rows: Sequence[Any], *, single: Any) -> HttpResponse:
        if not self.may(request, act):
            raise PermissionDenied
        stale = fresh.ask_again(request)
        if stale is not None:
            return stale
        is_sent = request.method == "POST" and "confirmed" in request.POST
        form = act.form(request.POST) if is_sent else act.form(initial=act.form.starting(single))
        if not is_sent or not form.is_valid():
            return self._asked(request, act, rows, form, single=single)
        results = [self._run(request, act, row, form) for row in rows]
        if single is None:
            return self._told(request, act, results)
        (result,) = results
        if not result.is_done:
            form.add_error(None, result.text)
            return self._asked(request, act, rows, form, single=single)
        messages.success(request, f"{result.name}: {result.text}")
        return HttpResponseRedirect(self.url_of(single.pk))

    def _run(self, request: HttpRequest, act: DeskAct, row: Any, form: ActForm) -> Result:
        actor = actor_of(request)
        organization = self.organization_of(row)
        now = timezone.now() if organization is None else now_of(organization)
        given = {name: value for name, value in form.cleaned_data.items() if name != "token"}
        try:
            if act.is_once:
                key = f"desk:{act.name}:{row.pk}:{form.cleaned_data['token']}"
                said = idempotency.once(
                    caller=actor.name,
                    key=key,
                    fingerprint=_fingerprint(given),
                    act=lambda: Kept(200, act.run(row, actor, given, now)),
                ).content
            else:
                said = act.run(row, actor, given, now)
        except BillingError as refusal:
            return Result(self.named(row), link(self.model, row.pk), refusal.message, is_done=False)
        return Result(self.named(row), link(self.model, row.pk), said, is_done=True)

    # --- The pages ---

    def _asked(
        self, request: HttpRequest, act: DeskAct, rows: Sequence[Any], form: ActForm, *, single: Any
    ) -> HttpResponse:
        return self._render(
            request,
            "admin/desk/ask.html",
            act,
            {
                "form": form,
                "rows": [(str(row.pk), self.named(row), link(self.model, row.pk)) for row in rows],
                "checkbox": ACTION_CHECKBOX_NAME,
                "is_single": single is not None,
                "back": self.url_of(single.pk) if single is not None else request.get_full_path(),
            },
        )

    def _told(self, request: HttpRequest, act: DeskAct, results: Sequence[Result]) -> HttpResponse:
        failed = sum(not result.is_done for result in results)
        return self._render(
            request,
            "admin/desk/results.html",
            act,
            {"results": results, "done": len(results) - failed, "failed": failed, "back": request.get_full_path()},
        )

    def _render(self, request: HttpRequest, template: str, act: DeskAct, more: Mapping[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "list_title": self.list_title,
            "title": act.title,
            "act": act,
            **more,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)

    def named(self, row: Any) -> str:
        """A row on the pages of acts."""
        organization = self.organization_of(row)
        return f"{row} · {organization.slug}" if organization is not None and organization is not row else str(row)


class _Plain:
    """What unfold asks of the method behind a row's link."""

    attrs: ClassVar[dict[str, str]] = {}


def _ask_of_many(desk: ActingDesk, request: HttpRequest, rows: QuerySet[Any], *, act: DeskAct) -> HttpResponse:
    return desk.act_on_many(request, act, rows)


def _fingerprint(given: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(given, default=str, sort_keys=True).encode()).digest()
