"""Journeys: what crosses subscriptions, credits and invoices, each one transaction under the organization's lock.

Owns no table. Renewal runs what fell due up to an instant, in order, as if it had run on the instant itself: so it does
not matter who runs it (the sweep, the recording that met it, a sandbox's ``clock advance``), how late, or how often.
"""
