"""Finding what an argument names."""

from __future__ import annotations

import click

from billing.accounts import queries as accounts_queries
from billing.models import Organization, Subscription
from billing.subscriptions import queries as subscriptions_queries
from billing.subscriptions.queries import DEFAULT_PRODUCT

product_option = click.option("--product", default=DEFAULT_PRODUCT, show_default=True, help="Product of the catalog.")


def live_subscription(organization: Organization, product: str) -> Subscription:
    """Raises ``SubscriptionNotFound``."""
    found = subscriptions_queries.find_live(organization, product)
    if found is None:
        raise subscriptions_queries.SubscriptionNotFound(
            f"{organization.slug} has no live subscription of the product {product}."
        )
    return found


def last_subscription(reference: str, product: str) -> Subscription:
    """The live subscription of the organization that ``reference`` names, or else the one that ended last."""
    organization = accounts_queries.get_organization(reference)
    ended = subscriptions_queries.find_last_ended(organization, product)
    live = subscriptions_queries.find_live(organization, product)
    if live is None and ended is not None:
        return subscriptions_queries.get_subscription(ended.id)
    return live_subscription(organization, product) if live is None else live
