"""Why credits are not sold, or an order is not withdrawn."""

from __future__ import annotations

from billing.kernel.errors import Conflict, NotFound


class PurchaseNotFound(NotFound):
    """No such order, or none that the caller may know of."""


class CreditsNotSold(Conflict):
    """The plan has no price for a credit, or the subscription does not serve: it could not use what is bought."""

    code = "credits_not_sold"


class PurchasesOpen(Conflict):
    """As many orders as there may be wait to be paid already."""

    code = "purchases_open"


class PurchasePaid(Conflict):
    """The order was paid, and its credits granted."""

    code = "purchase_paid"
