"""A host product's own views on Django REST framework: what they write and what it costs commit together."""

import json
from typing import Any

import pytest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from billing.accounts import actors
from billing.api.hosting import BilledView, EnforcesPlan, PlanAllows
from billing.infra import locks
from billing.kernel.decimals import ZERO, plain
from billing.lifecycle import onboard
from billing.models import Organization, RefusalCount, UsageEvent
from tests.support import catalogs, factories

NOW = factories.at("2025-11-17T12:00:00")

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Organization:
    catalogs.sync()
    made = factories.sandbox(slug="acme", clock_at=NOW)
    onboard.subscribe(organization=made, plan_code="free", actor=actors.operator("test"), now=NOW)
    return made


class Cases(EnforcesPlan):
    """Creates "cases" in a table that is at hand: the organizations'."""

    billing_events = {"POST": "case_created"}

    def get_billing_organization(self, request: Request) -> str:
        return "acme"

    def get_billing_quantity(self, request: Request) -> int:
        return int(request.query_params.get("count", 1))

    def get(self, request: Request) -> Response:
        return Response({"cases": cases()})

    def post(self, request: Request) -> Response:
        outcome = self.billing_outcome
        assert outcome is not None
        if not outcome.duplicate:
            factories.organization(name="case")
        if "raise" in request.query_params:
            raise ValidationError({"title": "is missing"})
        status = int(request.query_params.get("status", 201))
        return Response({"left": plain(outcome.remaining or ZERO), "duplicate": outcome.duplicate}, status=status)


class Express(BilledView):
    permission_classes = [PlanAllows]
    billing_events = {"POST": "express_entry_enabled", "PUT": "max_cases"}

    def get_billing_organization(self, request: Request) -> str:
        return "acme"

    def get(self, request: Request) -> Response:
        return Response()

    post = put = get


def cases() -> int:
    return Organization.objects.filter(name="case").count()


def call(view: type[APIView], method: str = "POST", query: str = "", **headers: str) -> HttpResponseBase:
    request: HttpRequest = APIRequestFactory().generic(method, f"/cases{query}", headers=headers)
    response = view.as_view()(request)
    getattr(response, "render", lambda: None)()
    return response


def body(response: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(response.content)
    return read


@pytest.mark.usefixtures("tenant")
def test_a_view_consumes_what_it_creates_until_the_limit() -> None:
    left = [body(call(Cases))["left"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    refused = call(Cases)
    assert (refused.status_code, refused["Content-Type"]) == (402, "application/problem+json")
    problem = body(refused)
    assert (problem["error"], problem["code"], problem["status"]) == ("plan_limit_exceeded", "plan_limit_exceeded", 402)
    assert problem["detail"] == "max_cases: 3 of 3 are used and 1 more were asked for."
    assert problem["notes"] == ["billing:quota-exceeded:max_cases"]
    assert (cases(), UsageEvent.objects.count()) == (3, 3)
    # Reading costs nothing.
    assert call(Cases, "GET").status_code == 200


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize(("query", "status"), [("?raise=1", 400), ("?status=409", 409), ("?status=500", 500)])
def test_a_view_that_fails_or_says_no_gives_the_use_back(query: str, status: int) -> None:
    assert call(Cases, query=query).status_code == status
    assert (cases(), UsageEvent.objects.count()) == (0, 0)


@pytest.mark.usefixtures("tenant")
def test_the_idempotency_key_names_the_use() -> None:
    first, second = (body(call(Cases, **{"Idempotency-Key": "k"})) for _ in range(2))
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert (cases(), UsageEvent.objects.count()) == (1, 1)
    conflict = call(Cases, query="?count=2", **{"Idempotency-Key": "k"})
    assert (conflict.status_code, body(conflict)["code"]) == (409, "idempotency_conflict")
    assert call(Cases, **{"Idempotency-Key": "a b"}).status_code == 422


@pytest.mark.usefixtures("tenant")
def test_bulk_is_refused_whole() -> None:
    assert call(Cases, query="?count=4").status_code == 402
    assert call(Cases, query="?count=3").status_code == 201


def test_books_that_are_busy_are_answered_503(tenant: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: object) -> None:
        raise locks.BooksBusy("The books are in use.", note="billing:error:busy")

    monkeypatch.setattr(locks, "lock_organizations", busy)
    answer = call(Cases)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


@pytest.mark.usefixtures("tenant")
def test_a_permission_asks_and_counts_nothing() -> None:
    assert call(Express, "GET").status_code == 200
    assert call(Express, "PUT").status_code == 200
    refused = call(Express)
    assert (refused.status_code, body(refused)["error"]) == (402, "plan_limit_exceeded")
    assert body(refused)["notes"] == ["billing:feature-disabled:express_entry_enabled"]
    assert RefusalCount.objects.get().note == "billing:feature-disabled:express_entry_enabled"
    assert not UsageEvent.objects.exists()


def test_a_view_that_does_not_say_whose_plan_it_is_is_a_defect() -> None:
    class Plain(APIView):
        permission_classes = [PlanAllows]

        def get(self, request: Request) -> Response:
            return Response()

    class Nameless(EnforcesPlan):
        billing_events = {"GET": "case_created"}

        def get(self, request: Request) -> Response:
            return Response()

    with pytest.raises(TypeError, match="no BilledView"):
        call(Plain, "GET")
    with pytest.raises(NotImplementedError, match="whose plan"):
        call(Nameless, "GET")
