"""The host's API. Keys, sessions, tenants and problem details are the product's: ``billing.api`` is there to be used.

A refusal needs no line here: ``PlanLimitError`` is answered with 402 and ``{"error": "plan_limit_exceeded", …}``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict
from uuid import uuid4

from django.db.models import Q
from msgspec import Meta

from billing.accounts.actors import Act
from billing.api import pagination
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.pagination import PageQuery, TimeKey
from billing.api.problems import invalid_field
from billing.api.wire import Id, Nothing, Request
from billing.kernel import ids
from billing.kernel.errors import NotFound
from billing.models import Organization
from billing.reporting.representations import instant
from examples.casework import operations, tasks
from examples.casework.models import Case, Result

TAG = "example: casework"
Name = Annotated[str, Meta(min_length=1, max_length=60)]


class Tenant(Request, frozen=True):
    """Whose cases. A key of an organization implies it."""

    organization: Name | None = None


class CasesQuery(PageQuery, frozen=True):
    organization: Name | None = None


class NewCase(Request, frozen=True):
    reference: Name
    title: Annotated[str, Meta(min_length=1, max_length=200)]


class CaseMeant(Request, frozen=True):
    case: Id


class NewDocument(Request, frozen=True):
    kind: Annotated[str, Meta(min_length=1, max_length=40)]


class NewJob(Request, frozen=True):
    """``flags``: escalations that are open (plan), or what guardrails raised (instrumentation)."""

    job: Literal["plan", "instrumentation", "analysis"]
    flags: Annotated[list[Name], Meta(max_length=19)] = []
    sequence: Annotated[str, Meta(max_length=100_000)] = "ACGT"


class CaseDocument(TypedDict):
    id: str
    reference: str
    title: str
    state: str
    created_at: str


class ResultDocument(TypedDict):
    id: str
    case: str
    kind: str
    text: str
    created_at: str


class JobDocument(TypedDict):
    job: str
    run: str


class CaseNotFound(NotFound):
    """No such case, or not the caller's."""


class Cases(ApiView):
    @endpoint("List cases", responses={200: pagination.page_of(CaseDocument)}, act=Act.READ, tag=TAG)
    def get(self, call: Call[Nothing, CasesQuery]) -> Answer:
        """The newest first."""
        cases = Case.objects.filter(organization=_tenant(call, call.query.organization, Act.READ))
        after = pagination.read_cursor(call.query, TimeKey)
        if after is not None:
            cases = cases.filter(Q(created_at__lt=after.at) | Q(created_at=after.at, id__lt=after.id))
        rows = list(cases.order_by("-created_at", "-id")[: call.query.size + 1])
        page = pagination.page(
            call.request, call.query, rows, show=_case, key=lambda row: TimeKey(row.created_at, row.id)
        )
        return Answer(200, page)

    @endpoint("Create a case", responses={201: CaseDocument}, act=Act.USAGE, tag=TAG, problems=(402, 409))
    def post(self, call: Call[NewCase, Tenant]) -> Answer:
        """Counts `case_created`, which `max_cases` limits. `Idempotency-Key` makes it happen once."""
        case = operations.create_case(
            organization=_tenant(call, call.query.organization, Act.USAGE),
            reference=call.body.reference,
            title=call.body.title,
            key=_key(call),
        )
        return Answer(201, _case(case))


class EvaluateCase(ApiView):
    @endpoint("Evaluate a case", responses={201: ResultDocument}, act=Act.USAGE, tag=TAG, problems=(402, 409))
    def post(self, call: Call[CaseMeant, Tenant]) -> Answer:
        """Counts `evaluation_run`: `express_entry_enabled` and `max_evaluations_per_month`."""
        case = _find(call, str(call.body.case.value), call.query.organization)
        return Answer(201, _result(operations.evaluate(case=case, key=_key(call))))


class MoveCase(ApiView):
    @endpoint("Move a case on", responses={200: CaseDocument}, act=Act.USAGE, tag=TAG, problems=(402, 409))
    def post(self, call: Call[Nothing, Tenant], case_id: str, transition: str) -> Answer:
        """`submit`, `close` or `reopen`. Counts `lifecycle_transition`: `lifecycle_transitions_enabled`."""
        case = _find(call, case_id, call.query.organization)
        if transition not in operations.TRANSITIONS:
            raise CaseNotFound("There is no such transition.")
        return Answer(200, _case(operations.move(case=case, transition=transition, key=_key(call))))


class CaseDocuments(ApiView):
    @endpoint("Generate a document", responses={201: ResultDocument}, act=Act.USAGE, tag=TAG, problems=(402, 409))
    def post(self, call: Call[NewDocument, Tenant], case_id: str) -> Answer:
        """Counts `document_generated`: `document_generation_enabled`."""
        case = _find(call, case_id, call.query.organization)
        return Answer(201, _result(operations.generate_document(case=case, kind=call.body.kind, key=_key(call))))


class CaseJobs(ApiView):
    @endpoint("Start a job", responses={202: JobDocument}, act=Act.USAGE, tag=TAG)
    def post(self, call: Call[NewJob, Tenant], case_id: str) -> Answer:
        """Planner, instrumentation or sequence analysis, in the background; what it uses it tells by itself."""
        case, run = _find(call, case_id, call.query.organization), _key(call)
        if call.body.job == "analysis":
            tasks.analysis.delay(str(case.pk), run, call.body.sequence)
        else:
            job = tasks.plan if call.body.job == "plan" else tasks.instrumentation
            job.delay(str(case.pk), run, call.body.flags)
        return Answer(202, {"job": call.body.job, "run": run})


def _tenant(call: Call[object, object], reference: str | None, act: Act) -> Organization:
    own = call.caller.organization
    if reference is None and own is None:
        raise invalid_field("organization", "missing", "is missing: this caller could mean any organization")
    return call.organization(reference or str(own and own.id), act)


def _find(call: Call[object, object], case_id: str, reference: str | None) -> Case:
    cases = Case.objects.select_related("organization").filter(organization=_tenant(call, reference, Act.USAGE))
    wanted = ids.parse_uuid(case_id)
    found = None if wanted is None else cases.filter(id=wanted).first()
    if found is None:
        raise CaseNotFound("No such case.")
    return found


def _key(call: Call[object, object]) -> str:
    return call.idempotency_key or str(uuid4())


def _case(case: Case) -> CaseDocument:
    return {
        "id": str(case.id),
        "reference": case.reference,
        "title": case.title,
        "state": case.state,
        "created_at": instant(case.created_at),
    }


def _result(result: Result) -> ResultDocument:
    return {
        "id": str(result.id),
        "case": str(result.case_id),
        "kind": result.kind,
        "text": result.text,
        "created_at": instant(result.created_at),
    }
