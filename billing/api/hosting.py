"""For host products on Django REST framework: views that cost something, and a permission that only asks.

class Cases(EnforcesPlan, APIView):
    billing_events = {"POST": "case_created"}

    def get_billing_organization(self, request):
        return request.user.organization
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django.db import transaction
from django.http.response import HttpResponseBase
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from billing import enforcement
from billing.accounts.queries import Reference
from billing.api import errors
from billing.infra import idempotency
from billing.kernel.errors import BillingError
from billing.lifecycle.quota import BillingQuotaOutcome
from billing.service import BillingService


class BilledView(APIView):
    """What both need to know of a view. ``billing_events`` maps HTTP methods to events or entitlements."""

    billing_events: ClassVar[Mapping[str, str]] = {}

    def get_billing_organization(self, request: Request) -> Reference:
        """Whose plan it is: the row, its id, slug or external id."""
        raise NotImplementedError(f"{type(self).__name__} does not say whose plan it is")

    def get_billing_quantity(self, request: Request) -> Decimal | int:
        return 1

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        """Refusals as problem details: 402 with ``{"error": "plan_limit_exceeded", "detail": …}``, 503 when busy."""
        if isinstance(exc, BillingError):
            return errors.respond_to(exc, self.request._request)  # noqa: SLF001
        return super().handle_exception(exc)


class EnforcesPlan(BilledView):
    """A view whose handlers run inside ``enforce``: what they write and the use that it costs commit together.

    A handler that raises, or that answers with an error status, gives the use back. A call that PostgreSQL ended in
    favour of another is run once more. The outcome is in ``self.billing_outcome``; ``duplicate`` is true in it for an
    ``Idempotency-Key`` that was counted before.
    """

    billing_outcome: BillingQuotaOutcome | None = None

    def get_billing_key(self, request: Request) -> str | None:
        """What names the use for ever; by default the request's ``Idempotency-Key``."""
        key = request.headers.get(idempotency.HEADER)
        return None if key is None else idempotency.check_key(key)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After authentication, permissions and throttles: put the handler of this request inside its block."""
        super().initial(request, *args, **kwargs)
        event = self.billing_events.get(request.method or "")
        handler = getattr(self, (request.method or "").lower(), None)
        if event is None or handler is None:
            return

        def run(*given: Any, **named: Any) -> HttpResponseBase:
            return enforcement.rerun_once(lambda: self._run(request, event, lambda: handler(*given, **named)))

        setattr(self, str(request.method).lower(), run)

    def _run(self, request: Request, event: str, handle: Callable[[], HttpResponseBase]) -> HttpResponseBase:
        with enforcement.enforce(
            self.get_billing_organization(request),
            event,
            self.get_billing_quantity(request),
            idempotency_key=self.get_billing_key(request),
        ) as self.billing_outcome:
            response = handle()
            if response.status_code >= 400:
                transaction.set_rollback(True)
        return response


class PlanAllows(BasePermission):
    """Passes if the plan would admit what the view costs; counts nothing. 402 where it would not.

    For views that only need to know. Between asking and doing another may come first: ``EnforcesPlan`` does both in
    one.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(view, BilledView):
            raise TypeError(f"{type(view).__name__} is no BilledView: it does not say what it costs, nor whom")
        event = view.billing_events.get(request.method or "")
        if event is None:
            return True
        BillingService.apply_plan_limits(
            view.get_billing_organization(request), event, view.get_billing_quantity(request)
        )
        return True
