"""What providers told, applied to our books: subscriptions, payments, refunds.

Deliveries come in any order and any number of times, so nothing here reads an event as "next". Of each object of a
provider the latest event is believed (``believing``), and an object that is final stays so; money is a set, booked
once per reference; what names something not known yet waits for it.
"""

from billing.lifecycle.provider_events.processing import process

__all__ = ["process"]
