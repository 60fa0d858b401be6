"""The desk of finance and operators: what needs a human, read-only but for acts that are operations of the engine."""

from billing.admin import invoices, subscriptions

__all__ = ["invoices", "subscriptions"]
