"""Collecting issued invoices: charging, dunning, past due and back.

Every invoice that is issued with money due has one open collection. A collection that meets trouble (a charge that
fails, a due date that passes) becomes a dunning: its schedule charges or reminds, and when its grace ends the
subscription is past due until nothing holds it any more. Rows are the only state; whoever wakes up late does what is
due by then, once.
"""
