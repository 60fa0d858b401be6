"""Payment providers: what they are asked, and what they tell.

Owns the protocol, its adapters (``stub`` and ``stripe``), and the inbox of what providers report. It yields neutral
events; what they mean for subscriptions and invoices is decided in ``lifecycle``. Nothing here computes an amount.
"""
