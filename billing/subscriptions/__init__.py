"""Subscriptions: who is on which plan version, since when, and the spine of periods they bill by.

Holds: one live subscription per organization and product; periods of a subscription are contiguous; plan spans tile
its life and the open one is its plan; a status changes only along ``transitions``. It does *not* know credits or
invoices: the journeys that touch those live in ``lifecycle``.
"""
