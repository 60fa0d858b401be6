"""Coupons from the shell: made, listed, retired, redeemed and done without."""

import pytest

from billing.models import Coupon
from tests.support import cli

MADE = ("coupons", "create", "spring", "--name", "Spring")


def test_made_listed_and_retired(catalog: str) -> None:
    assert cli.run("coupons", "list").out == "No coupons.\n"
    made = cli.shown(*MADE, "--percent", "20", "--periods", "2", "--redemptions", "5", "--until", "2099-01-01")
    assert (made["code"], made["percent"], made["periods"], made["redemptions_max"]) == ("SPRING", "20", 2, 5)
    assert made["redeem_until"] == "2099-01-01T00:00:00Z"
    cli.shown("coupons", "create", "FIVE", "--name", "Five off", "--amount", "5.00", "--currency", "USD")
    assert [each["code"] for each in cli.shown("coupons", "list")["results"]] == ["FIVE", "SPRING"]
    assert [each["code"] for each in cli.shown("coupons", "list", "--after", "five")["results"]] == ["SPRING"]
    assert "0 of 5" in cli.run("coupons", "list").out
    for _ in range(2):
        assert cli.shown("coupons", "retire", "Spring")["is_active"] is False
    assert "retired" in cli.run("coupons", "list").out
    assert cli.run("coupons", "retire", "none").code == 3
    again = cli.run(*MADE, "--percent", "20", "--json")
    assert (again.code, again.problem["code"]) == (4, "coupon_taken")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--percent", "101"),
        ("--percent", "0"),
        ("--percent", "5", "--amount", "5", "--currency", "USD"),
        ("--percent", "5", "--currency", "USD"),
        ("--amount", "5"),
        ("--amount", "0.001", "--currency", "USD"),
        ("--amount", "5", "--currency", "XXX"),
        ("--percent", "5", "--periods", "0"),
        ("--percent", "5", "--until", "2020-01-01"),
    ],
)
def test_what_cannot_be_is_refused(catalog: str, options: tuple[str, ...]) -> None:
    assert cli.run(*MADE, *options).code == 2
    assert not Coupon.objects.exists()


def test_redeemed_and_done_without(acme: str) -> None:
    cli.shown(*MADE, "--percent", "20")
    assert cli.run("subscription", "discount", "acme").out == "No discounts.\n"
    (given,) = cli.shown("subscription", "discount", "acme", "spring")["results"]
    assert (given["code"], given["from_period"], given["until_period"]) == ("SPRING", 1, None)
    assert cli.shown("subscription", "show", "acme")["discount"] == given
    assert "SPRING, 20 per cent off from period 1 for ever" in cli.run("subscription", "show", "acme").out
    assert cli.run("subscription", "discount", "acme", "spring", "--remove").code == 2
    (ended,) = cli.shown("subscription", "discount", "acme", "--remove")["results"]
    assert ended["until_period"] == 1
    assert cli.run("subscription", "discount", "acme", "--remove").code == 3
    cli.shown("clock", "advance", "acme", "--to", "2026-02-01")
    assert cli.shown("invoices", "show", "acme")["total"] == "39.20"
    assert cli.shown("subscription", "show", "acme")["discount"] is None
