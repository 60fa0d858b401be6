"""Countinghouse: plans, exact quotas, metered usage, prepaid credits and invoices on PostgreSQL.

``from billing import BillingService`` is the in-process face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.service import BillingService as BillingService

__all__ = ["BillingService"]


def __getattr__(name: str) -> object:
    # Django imports this package before its apps are ready, and the service imports models: hence on first use.
    if name == "BillingService":
        from billing.service import BillingService

        return BillingService
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
