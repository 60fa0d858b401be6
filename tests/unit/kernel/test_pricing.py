"""Pricing models, and tiers as they are stored."""

from decimal import Decimal

from billing.kernel.pricing import PricingModel, Tier, tiers_of


def test_two_of_the_models_have_tiers() -> None:
    assert {model for model in PricingModel if model.is_tiered} == {PricingModel.GRADUATED, PricingModel.VOLUME}


def test_a_tier_is_stored_in_plain_numbers_and_read_back() -> None:
    tiers = (Tier(Decimal("1E+3"), Decimal("0.50"), Decimal("1.0")), Tier(None, Decimal("0.30")))
    stored = [tier.as_dict() for tier in tiers]
    assert stored == [
        {"up_to": "1000", "rate": "0.5", "flat": "1"},
        {"up_to": None, "rate": "0.3", "flat": "0"},
    ]
    assert tiers_of(stored) == tiers
