"""Webhook endpoints on pages: what the API does to them, by buttons."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.accounts.actors import Act
from billing.kernel.errors import BillingError, Forbidden, NotFound
from billing.kernel.ids import new_id
from billing.models import WebhookEndpoint
from billing.notifications import keeping, operations, queries, targets, topics
from billing.notifications.operations.endpoints import DESCRIPTION_LENGTH_MAX, EndpointExists
from marketplace.dashboard import webhooks
from marketplace.dashboard.frame import Visit, show, visit
from marketplace.doors import private_act, private_form, private_page

TAB = "webhooks"
# Where a new secret waits in the session for the one page that shows it.
_SECRET = "webhook_secret"  # noqa: S105 - the name, not one # nosec B105
_TOPICS_LENGTH_MAX = topics.PATTERNS_MAX * (topics.LENGTH_MAX + 1)


class EndpointForm(forms.Form):
    """``key`` is the endpoint's id to be, so that a form sent twice makes one endpoint."""

    url = forms.CharField(label=gettext_lazy("URL"), max_length=targets.LENGTH_MAX, widget=forms.URLInput)
    topics = forms.CharField(
        label=gettext_lazy("Topics"),
        max_length=_TOPICS_LENGTH_MAX,
        initial=topics.ALL,
        help_text=gettext_lazy("With blanks between: invoice.issued, or invoice.* for all of invoices, or * for all."),
    )
    description = forms.CharField(label=gettext_lazy("Description"), max_length=DESCRIPTION_LENGTH_MAX, required=False)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=new_id)

    def clean_topics(self) -> list[str]:
        """Apart at commas and blanks."""
        return str(self.cleaned_data["topics"]).replace(",", " ").split()


@private_form
def webhooks_page(request: HttpRequest, slug: str) -> HttpResponse:
    """All endpoints, and the form for a new one."""
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    if request.method != "POST":
        return _list(request, here, EndpointForm())
    form = EndpointForm(request.POST)
    if not form.is_valid():
        if "key" in form.errors:
            form.add_error(None, _("The form was not whole. Load the page again."))
        return _list(request, here, form, status=422)
    made = form.cleaned_data
    try:
        endpoint, secret = operations.create(
            organization=here.organization,
            url=made["url"],
            patterns=made["topics"],
            description=made["description"],
            endpoint_id=made["key"],
            actor=here.actor,
            now=here.now,
        )
    except EndpointExists:
        # The second click of two: the first one's page shows the secret.
        return redirect("webhook", slug=slug, endpoint_id=made["key"])
    except (NotFound, Forbidden):
        raise
    except BillingError as refusal:
        field = refusal.details.get("field")
        form.add_error(field if field in form.fields else None, refusal.message)
        return _list(request, here, form, status=422)
    request.session[_SECRET] = [str(endpoint.id), keeping.close(secret)]
    return redirect("webhook", slug=slug, endpoint_id=endpoint.id)


@private_page
def webhook_page(request: HttpRequest, slug: str, endpoint_id: UUID) -> HttpResponse:
    """One endpoint with its deliveries; and once, after it was made, its secret."""
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    endpoint = _find(here, endpoint_id)
    page = webhooks.endpoint_page(
        organization=here.organization, endpoint=endpoint, query=request.GET, actor=here.actor
    )
    kept = request.session.get(_SECRET)
    is_new = kept is not None and kept[0] == str(endpoint.id)
    if is_new:
        del request.session[_SECRET]
    return show(
        request,
        here,
        "marketplace/dashboard/webhook.html",
        page=page,
        secret=keeping.reveal(kept[1]) if kept and is_new else "",
    )


@private_act(TAB)
def pause(request: HttpRequest, slug: str, endpoint_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    operations.pause(endpoint=_find(here, endpoint_id), actor=here.actor, now=here.now)
    messages.success(request, _("Paused: messages wait until it is resumed."))
    return redirect("webhook", slug=slug, endpoint_id=endpoint_id)


@private_act(TAB)
def resume(request: HttpRequest, slug: str, endpoint_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    operations.resume(endpoint=_find(here, endpoint_id), actor=here.actor, now=here.now)
    messages.success(request, _("Resumed: what waits is sent in its order."))
    return redirect("webhook", slug=slug, endpoint_id=endpoint_id)


@private_act(TAB)
def test(request: HttpRequest, slug: str, endpoint_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    operations.send_test(endpoint=_find(here, endpoint_id), actor=here.actor, now=here.now, told_at=here.at)
    messages.success(request, _("A test message is queued: how it went is below in a few seconds."))
    return redirect("webhook", slug=slug, endpoint_id=endpoint_id)


@private_act(TAB)
def delete(request: HttpRequest, slug: str, endpoint_id: UUID) -> HttpResponse:
    """Twice is once: one that is gone is gone."""
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    operations.disable(endpoint=_find(here, endpoint_id), actor=here.actor, now=here.now)
    messages.success(request, _("Deleted: it gets nothing more."))
    return redirect(TAB, slug=slug)


@private_act(TAB)
def redeliver(request: HttpRequest, slug: str, endpoint_id: UUID, message_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    operations.replay(endpoint=_find(here, endpoint_id), message_id=str(message_id), actor=here.actor, now=here.now)
    messages.success(request, _("Queued: it is sent again, behind what waits."))
    return redirect("webhook", slug=slug, endpoint_id=endpoint_id)


@private_act(TAB)
def skip(request: HttpRequest, slug: str, endpoint_id: UUID, message_id: UUID) -> HttpResponse:
    here = visit(request, slug, tab=TAB, act=Act.WEBHOOKS)
    operations.skip(endpoint=_find(here, endpoint_id), message_id=str(message_id), actor=here.actor, now=here.now)
    messages.success(request, _("Given up: those behind it move on."))
    return redirect("webhook", slug=slug, endpoint_id=endpoint_id)


def _find(here: Visit, endpoint_id: UUID) -> WebhookEndpoint:
    return queries.get_endpoint(here.organization, str(endpoint_id))


def _list(request: HttpRequest, here: Visit, form: EndpointForm, *, status: int = 200) -> HttpResponse:
    page = webhooks.webhooks_page(organization=here.organization, actor=here.actor)
    return show(request, here, "marketplace/dashboard/webhooks.html", status=status, page=page, form=form)
