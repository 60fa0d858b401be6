"""Random overage prices of every model, told to the product and to the second calculator."""

from decimal import Decimal

from hypothesis import strategies as st

from billing.invoicing.books import OveragePrice
from billing.kernel.pricing import PricingModel, Tier
from tests.support import second_calculator as second


def decimals(most: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.integers(0, most * 10**places).map(lambda units: Decimal(units).scaleb(-places))


@st.composite
def prices(draw: st.DrawFn, meter: str = "tokens") -> tuple[OveragePrice, tuple[str, str] | second.Model]:
    """The same random price, told to both."""
    model = draw(st.sampled_from(PricingModel))
    rate, per = draw(decimals(1_000, 12)), draw(decimals(2_000_000, 6)) + 1
    key = (f"max_{meter}", Decimal(0), "billing_period")
    if model is PricingModel.PER_UNIT:
        return OveragePrice(*key, rate, per), (str(rate), str(per))
    if model is PricingModel.PERCENTAGE:
        return OveragePrice(*key, rate, Decimal(100), model), second.Model(model.value, str(rate))
    if model is PricingModel.PACKAGE:
        return OveragePrice(*key, rate, per, model), second.Model(model.value, str(rate), str(per))
    ends = [*sorted(draw(st.sets(decimals(100_000, 6).filter(bool), max_size=3))), None]
    tiers = tuple(Tier(end, draw(decimals(1_000, 12)), draw(st.just(Decimal(0)) | decimals(100, 0))) for end in ends)
    told = tuple((None if tier.up_to is None else str(tier.up_to), str(tier.rate), str(tier.flat)) for tier in tiers)
    return OveragePrice(*key, None, per, model, tiers), second.Model(model.value, "0", str(per), told)
