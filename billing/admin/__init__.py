"""The desk of finance and operators: what needs a human, read-only but for acts that are operations of the engine."""

from django.contrib import admin

from billing.admin import (
    audit,
    books,
    catalog,
    credits,
    hooks,
    invoices,
    money,
    organizations,
    people,
    subscriptions,
    usage,
)
from billing.admin.base import Desk

__all__ = [
    "audit",
    "books",
    "catalog",
    "credits",
    "hooks",
    "invoices",
    "money",
    "organizations",
    "people",
    "subscriptions",
    "usage",
]

# Pages that other packages bring edit and delete freely, and leave no trace in our audit log.
_registered = admin.site._registry  # noqa: SLF001 - there is no public list of them
for _model in [model for model, page in _registered.items() if not isinstance(page, Desk)]:
    admin.site.unregister(_model)
