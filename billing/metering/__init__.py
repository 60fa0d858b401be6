"""Metering: usage events, usage windows and quota decisions.

Owns ``marketplace_usage_events``, ``subscription_usage_ledger`` and ``billing_usage_charges``: nobody else writes
them, and there is one way to write them, ``operations.record``. Holds: window.used = Σ quantity of its events; no
blocking limit is overshot; an event is counted once for ever, by (organization, source, key). It is *not* a price
list (``catalog``) and not an invoice (``invoicing`` reads the charges).
"""
