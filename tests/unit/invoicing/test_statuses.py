"""The status of an invoice, edge by edge."""

import pytest

from billing.invoicing import statuses
from billing.models import InvoiceStatus

ALLOWED = {
    ("draft", "issued"),
    ("draft", "void"),
    ("issued", "paid"),
    ("issued", "void"),
    ("issued", "uncollectible"),
    ("uncollectible", "paid"),
    ("paid", "issued"),
}


@pytest.mark.parametrize("status", InvoiceStatus.values)
@pytest.mark.parametrize("following", InvoiceStatus.values)
def test_each_edge_is_there_or_not(status: str, following: str) -> None:
    assert statuses.may_become(status, following) == ((status, following) in ALLOWED)


@pytest.mark.parametrize(
    ("status", "due", "expected"),
    [
        ("issued", 0, "paid"),
        ("issued", 1, "issued"),
        ("uncollectible", 0, "paid"),
        ("uncollectible", 1, "uncollectible"),
        ("paid", 0, "paid"),
        ("paid", 1, "issued"),
        ("draft", 0, "draft"),
        ("void", 0, "void"),
        ("void", 5, "void"),
    ],
)
def test_paid_means_that_nothing_is_due(status: str, due: int, expected: str) -> None:
    assert statuses.settled(status, due) == expected
