"""Prepaid credits: grants, the ledger of their movements, and the account balance.

Holds: balance = Σ ledger entries = Σ remaining of the account's grants; every entry names its grant and its cause; an
entry is never changed. Debits for use are decided here (``allocation``) and written by metering, in the event's own
statement.
"""
