"""The catalog, open to everyone."""

from __future__ import annotations

from typing import TypedDict

from django.conf import settings

from billing.api.endpoint import Answer, ApiView, Call, endpoint
from billing.api.wire import Nothing
from billing.catalog import operations as catalog_operations
from billing.catalog import queries as catalog_queries
from billing.reporting import representations
from billing.reporting.shapes import PlanDocument


class PlansDocument(TypedDict):
    results: list[PlanDocument]


class Plans(ApiView):
    @endpoint("Plans on sale", responses={200: PlansDocument}, public=True, tag="plans")
    def get(self, call: Call[Nothing, Nothing]) -> Answer:
        """All plans that anyone may choose, in the shop's order, with prices, entitlements, features and SLA.

        In a sandbox environment an empty catalog gets the plan "Lab Standard", once; production never writes here.
        """
        plans = catalog_queries.list_plans_for_shop()
        if not plans and settings.BILLING_ENVIRONMENT == "sandbox":
            catalog_operations.bootstrap_lab_standard(now=call.at)
            plans = catalog_queries.list_plans_for_shop()
        return Answer(200, {"results": [representations.plan(plan) for plan in plans]})
