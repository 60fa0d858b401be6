"""Telling organizations what happened: outbox events, delivered to their webhook endpoints.

Owns endpoints, their secrets, the queue of each (``WebhookDelivery``) and the log of attempts. Every endpoint gets the
events that it subscribed to at least once and in order: the first of its queue blocks the others until it is delivered
or skipped. It is *not* where events come from (``infra.outbox``), and it never decides anything about money.
"""
