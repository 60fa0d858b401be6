"""Moving subscribers to newer plan versions, a page at a time, for platform keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

from msgspec import Meta

from billing.accounts.actors import Act
from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.subscriptions import Code, Version
from billing.api.wire import Id, Nothing, Request
from billing.catalog import queries as catalog_queries
from billing.invoicing.comparison import Totals
from billing.kernel.errors import NotFound
from billing.lifecycle import migrate, prospects
from billing.lifecycle.migrate import Migration, When
from billing.reporting import migrating
from billing.reporting.migrating import MovedDocument, ProspectDocument, TotalDocument

_WHEN = {"now": When.NOW, "period_end": When.PERIOD_END}


class PlanNotFound(NotFound):
    """No plan has ever had this code."""


class Migrate(Request, frozen=True):
    """Without ``apply`` a preview. ``to`` is by default the same plan; ``after`` the ``next`` of the page before."""

    apply: bool = False
    to: Code | None = None
    to_version: Version | None = None
    from_version: Version | None = None
    when: Literal["now", "period_end"] = "period_end"
    organization: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    include_sandboxes: bool = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: Id | None = None


class MigrationDocument(TypedDict):
    """A page: ``prospects`` and ``totals`` of a preview, ``moved`` where it was applied. ``next`` null: the last."""

    plan: str
    to: str
    to_version: int
    when: str
    applied: bool
    prospects: list[ProspectDocument]
    totals: list[TotalDocument]
    moved: list[MovedDocument]
    next: str | None


class MigratePlan(ApiView):
    @endpoint(
        "Migrate subscribers of a plan",
        responses={200: MigrationDocument},
        act=Act.SUBSCRIPTIONS,
        tag="plans",
        problems=(404, 409),
    )
    def post(self, call: Call[Migrate, Nothing], plan_code: str) -> Answer:
        """For platform keys: who would pay how much more or less on the plan's current version, or on another plan, and
        with ``apply`` the move itself, each subscription by itself.

        Those refused are listed with their code and do not stop the others. Applying again moves who is left.
        """
        body = call.body
        organization = None if body.organization is None else call.find_organization(body.organization)
        call.require(Act.SUBSCRIPTIONS, organization)
        if "\x00" in plan_code or catalog_queries.find_current_plan(plan_code) is None:
            raise PlanNotFound("No such plan.")
        migration = migrate.prepare(
            source=plan_code,
            source_version=body.from_version,
            target=body.to,
            target_version=body.to_version,
            when=_WHEN[body.when],
            organization=organization,
            has_sandboxes=body.include_sandboxes,
            actor=call.actor,
        )
        after = body.after.value if body.after else None
        found = migrate.list_page(migration, after=after, size=body.limit + 1)
        page = found[: body.limit]
        answer = {
            "plan": plan_code,
            "to": migration.target.code,
            "to_version": migration.target.version,
            "when": body.when,
            "applied": body.apply,
            "prospects": [],
            "totals": [],
            "moved": [],
            **(_moved(call, migration, page) if body.apply else _prospects(call, migration, page)),
            "next": str(page[-1]) if len(found) > body.limit else None,
        }
        return Answer(200, answer)


def _prospects(call: Call[Migrate, Nothing], migration: Migration, page: list[UUID]) -> dict[str, Any]:
    totals = Totals()
    found = prospects.preview(migration, page, now=call.at)
    for each in found:
        totals.add(each)
    return {"prospects": [migrating.prospect(each) for each in found], "totals": migrating.totals(totals)}


def _moved(call: Call[Migrate, Nothing], migration: Migration, page: list[UUID]) -> dict[str, Any]:
    outcomes = [migrate.apply(migration, subscription_id=each, actor=call.actor, now=call.at) for each in page]
    return {"moved": [migrating.moved(each.subscription, each.refusal) for each in outcomes]}
