"""What the host does and what each act costs. This file is the whole integration: everything else is ordinary Django.

Each block is one transaction: the rows in it are there if and only if their use was counted. A plan that says no raises
``PlanLimitError`` before the block runs; a block that raises gives its use back. A key that was counted before runs the
block again, so ``get_or_create`` finds what the first run wrote.
"""

from __future__ import annotations

from django.db import IntegrityError

from billing.enforcement import enforce
from billing.kernel.errors import Conflict
from billing.models import Organization
from examples.casework.models import Case, Result, State

TRANSITIONS = {
    "submit": (State.OPEN, State.SUBMITTED),
    "close": (State.SUBMITTED, State.CLOSED),
    "reopen": (State.CLOSED, State.OPEN),
}


class ReferenceTaken(Conflict):
    code = "reference_taken"


class WrongState(Conflict):
    code = "wrong_state"


def create_case(*, organization: Organization, reference: str, title: str, key: str) -> Case:
    """``max_cases`` guards ``case_created``."""
    try:
        with enforce(organization, "case_created", idempotency_key=key, source="casework"):
            case, _ = Case.objects.get_or_create(
                organization=organization, request_key=key, defaults={"reference": reference, "title": title}
            )
            return case
    except IntegrityError as error:
        # Found out after the use was counted, which by now is undone with everything else in the block.
        raise ReferenceTaken(f"A case {reference!r} is there already.", field="reference") from error


def evaluate(*, case: Case, key: str) -> Result:
    """``express_entry_enabled`` and ``max_evaluations_per_month`` guard ``evaluation_run``: one event, both asked."""
    with enforce(case.organization, "evaluation_run", idempotency_key=key, source="casework"):
        score = sum(case.title.encode()) % 101
        return _keep(case, "evaluation", f"score {score}", key)


def move(*, case: Case, transition: str, key: str) -> Case:
    """``lifecycle_transitions_enabled`` guards ``lifecycle_transition``."""
    before, after = TRANSITIONS[transition]
    with enforce(case.organization, "lifecycle_transition", idempotency_key=key, source="casework") as use:
        moved = Case.objects.filter(pk=case.pk, state=before).update(state=after)
        if not moved and not use.duplicate:
            raise WrongState(f"A case that is to {transition} must be {before}.")
    case.refresh_from_db()
    return case


def generate_document(*, case: Case, kind: str, key: str) -> Result:
    """``document_generation_enabled`` guards ``document_generated``."""
    with enforce(case.organization, "document_generated", idempotency_key=key, source="casework"):
        return _keep(case, kind, f"{kind} for {case.reference}: {case.title}", key)


def _keep(case: Case, kind: str, text: str, key: str) -> Result:
    result, _ = Result.objects.get_or_create(case=case, kind=kind, request_key=key, defaults={"text": text})
    return result
