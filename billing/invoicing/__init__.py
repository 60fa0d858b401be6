"""Invoices: what a closed stretch of time costs, and the document that says so.

Owns invoices, their lines and their numbers. A draft is a pure function of the books (``assembly``), so deriving it
again, by whomever and however often, changes nothing; an issued invoice is frozen and a period that it bills is
closed. It is *not* the place where use is judged (``metering`` writes the charges) or money collected (``payments``).
"""
