"""The catalog, open to everyone."""

from __future__ import annotations

from typing import TypedDict

import msgspec
from django.conf import settings
from django.http import HttpResponse

from billing.api.endpoint import ApiView, Call, endpoint
from billing.api.wire import Nothing
from billing.catalog import operations as catalog_operations
from billing.infra import kept
from billing.reporting import shop
from billing.reporting.shapes import PlanDocument

# Of a state of the catalog one list is kept; the one before serves whoever asked during a sync.
_shelf = kept.Shelf(entries_max=2)


class PlansDocument(TypedDict):
    results: list[PlanDocument]


class Plans(ApiView):
    @endpoint("Plans on sale", responses={200: PlansDocument, 304: None}, public=True, tag="plans")
    def get(self, call: Call[Nothing, Nothing]) -> HttpResponse:
        """All plans that anyone may choose, in the shop's order, with prices, entitlements, features and SLA.

        ``ETag`` names the list: sent back as ``If-None-Match``, the answer is 304 for as long as it holds. In a sandbox
        environment an empty catalog gets the plan "Lab Standard", once; production never writes here.
        """
        found = shop.read()
        if not found.plans and settings.BILLING_ENVIRONMENT == "sandbox":
            catalog_operations.bootstrap_lab_standard(now=call.at)
            found = shop.read()
        listed = _shelf.get(found.stamp or None, lambda: msgspec.json.encode({"results": found.plans}))
        return kept.answer(call.request, listed, content_type="application/json", cache_control="public, no-cache")
