"""Which status of an invoice may follow which: the only edges there are. The database holds the same table.
Pure."""

from __future__ import annotations

from collections.abc import Mapping

DRAFT, ISSUED, PAID, VOID, UNCOLLECTIBLE = "draft", "issued", "paid", "void", "uncollectible"

# A paid invoice opens again only because money went back. Void is final: what it billed is billed by another one.
EDGES: Mapping[str, frozenset[str]] = {
    DRAFT: frozenset({ISSUED, VOID}),
    ISSUED: frozenset({PAID, VOID, UNCOLLECTIBLE}),
    UNCOLLECTIBLE: frozenset({PAID}),
    PAID: frozenset({ISSUED}),
    VOID: frozenset(),
}


def may_become(status: str, following: str) -> bool:
    return following in EDGES[status]


def settled(status: str, due_minor: int) -> str:
    """The status of an issued invoice of which ``due_minor`` is left to pay: paid if and only if that is nothing."""
    if due_minor == 0 and status in (ISSUED, UNCOLLECTIBLE):
        return PAID
    if due_minor != 0 and status == PAID:
        return ISSUED
    return status
