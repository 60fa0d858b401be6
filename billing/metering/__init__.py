"""Metering: usage events, usage windows and quota decisions.

Owns ``marketplace_usage_events``, ``subscription_usage_ledger``, ``billing_usage_charges`` and ``usage_debit_holds``:
nobody else writes them, and use comes in by one way, ``operations.record`` (``reversing`` takes it back, ``holding``
makes debits that waited). Holds: window.used = Σ quantity of its events; no
blocking limit is overshot; an event is counted once for ever, by (organization, source, key). It is *not* a price
list (``catalog``) and not an invoice (``invoicing`` reads the charges).
"""
