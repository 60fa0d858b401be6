"""One plan of the file → ``PlanSpec``."""

from __future__ import annotations

from typing import Literal, cast

from billing.catalog import entitling
from billing.catalog.fields import Fields, Reader
from billing.catalog.problems import Problems
from billing.catalog.schema import PRODUCT, FeatureSpec, PlanSpec, PriceSpec, Shelf
from billing.catalog.tree import Mapping, Node, Scalar
from billing.kernel import money
from billing.kernel.decimals import RATE_PLACES
from billing.kernel.periods import Interval

FEATURES_MAX = 100
TRIAL_DAYS_MAX = 730


class PlanReader:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.reader = Reader(problems)

    def read(self, code: str, line: int, node: Node) -> PlanSpec:
        """A plan with problems comes back too, with defaults in their place, so that others can still name it."""
        where = f"plan {code}"
        mapping = self.reader.mapping(node, where)
        if mapping is None:
            return PlanSpec(code, code, line=line)
        fields = Fields(mapping, where, self.problems)
        sla_node, bundle_node, features_node = fields.node("sla"), fields.node("bundle"), fields.node("features")
        sla = self._sla(sla_node, where) if sla_node is not None else ("", "", "")
        entitlements = entitling.read_all(fields.node("limits"), fields.node("entitlements"), where, self.problems)
        plan = PlanSpec(
            code,
            name=fields.text("name", default=code.replace("_", " ").title(), length_max=120),
            product=fields.code("product", default=PRODUCT),
            description=fields.text("description", length_max=4000),
            billing_period=Interval(fields.choice("billing_period", list(Interval), default=Interval.MONTH)),
            base_fee=self._base_fee(fields),
            prices=self._prices(fields),
            trial_days=fields.whole("trial_days", high=TRIAL_DAYS_MAX),
            trial_credits=fields.decimal("trial_credits"),
            credit_allowance=fields.decimal("credit_allowance"),
            allowance_every=cast(
                Literal["month", "period"], fields.choice("allowance_every", ("month", "period"), default="period")
            ),
            entitlements=tuple(sorted(entitlements, key=lambda entitlement: entitlement.key)),
            tagline=fields.text("tagline", length_max=200),
            bundle=self._bundle(bundle_node, where) if bundle_node is not None else {},
            sla_tier=sla[0],
            sla_version=sla[1],
            sla_terms=sla[2],
            features=self._features(features_node, where) if features_node is not None else (),
            shelf=Shelf(
                is_on_sale=fields.flag("on_sale", default=True),
                is_active=fields.flag("active", default=True),
                position=fields.whole("order", high=32_000),
            ),
            line=line,
        )
        fields.finish()
        return plan

    def _base_fee(self, fields: Fields) -> Literal["arrears", "advance"]:
        timing = fields.choice("base_fee", ("arrears", "advance"), default="arrears")
        return "advance" if timing == "advance" else "arrears"

    def _prices(self, fields: Fields) -> tuple[PriceSpec, ...]:
        credit_node, price_node, minimum_node = (fields.node(key) for key in ("credit_price", "price", "minimum"))
        minimums = self._minimums(minimum_node, fields) if minimum_node is not None else {}
        with_minimum = set(minimums)
        rates = {}
        if credit_node is not None:
            label = fields.label("credit_price")
            for currency, line, node in self.reader.per_currency(credit_node, label):
                rate = self.reader.decimal(node, f"{label}: {currency}", places=RATE_PLACES)
                rates[currency] = (line, rate)
        prices = []
        if price_node is not None:
            label = fields.label("price")
            if isinstance(price_node, Mapping) and not price_node.entries:
                self.problems.add(price_node.line, f"{label} is empty; leave it out for a plan that is free of charge")
            for currency, line, node in self.reader.per_currency(price_node, label):
                base_fee_minor = self._minor(node, f"{label}: {currency}", currency)
                credit_rate = rates.pop(currency, (0, None))[1]
                _, minimum_minor = minimums.pop(currency, (0, 0))
                prices.append(PriceSpec(currency, base_fee_minor, credit_rate, minimum_minor, line=line))
                if minimum_node is not None and currency not in with_minimum:
                    reason = f'{fields.where}: minimum has none in {currency}, in which the plan is sold ("0" is none)'
                    self.problems.add(minimum_node.line, reason)
        for currency, (line, _) in minimums.items():
            self.problems.add(line, f"{fields.where}: minimum in {currency}, in which the plan has no price")
        for currency, (line, _) in rates.items():
            self.problems.add(line, f"{fields.where}: credit_price in {currency}, in which the plan has no price")
        return tuple(sorted(prices, key=lambda price: price.currency))

    def _minimums(self, node: Node, fields: Fields) -> dict[str, tuple[int, int]]:
        """Line and amount in minor units by currency."""
        label = fields.label("minimum")
        return {
            currency: (line, self._minor(value, f"{label}: {currency}", currency))
            for currency, line, value in self.reader.per_currency(node, label)
        }

    def _minor(self, node: Node, label: str, currency: str) -> int:
        amount = self.reader.decimal(node, label)
        if amount is None:
            return 0
        try:
            minor = money.to_minor_exact(amount, currency)
        except ValueError as error:
            self.problems.add(node.line, f"{label} {error}")
            return 0
        if minor > money.AMOUNT_MAX_MINOR:
            self.problems.add(node.line, f"{label} is more than {money.format_minor(money.AMOUNT_MAX_MINOR, currency)}")
        return minor

    def _sla(self, node: Node, where: str) -> tuple[str, str, str]:
        mapping = self.reader.mapping(node, f"{where}: sla")
        if mapping is None:
            return "", "", ""
        fields = Fields(mapping, f"{where}: sla", self.problems)
        tier, version, terms = (
            fields.text("tier", length_max=60),
            fields.text("version", length_max=40),
            fields.text("terms", length_max=20_000),
        )
        fields.finish()
        if not tier:
            self.problems.add(node.line, f"{where}: sla needs a tier")
        if terms and not version:
            self.problems.add(node.line, f"{where}: sla terms need a version, which is what a customer accepts")
        return tier, version, terms

    def _bundle(self, node: Node, where: str) -> dict[str, str | bool | int]:
        mapping = self.reader.mapping(node, f"{where}: bundle")
        found: dict[str, str | bool | int] = {}
        for key, entry in (mapping.entries if mapping else {}).items():
            label = f"{where}: bundle: {key[:60]}"
            value = self._plain(entry.value, label)
            if self.reader.is_code(key, entry.line, f"{where}: bundle:") and value is not None:
                found[key] = value
        return found

    def _plain(self, node: Node, label: str) -> str | bool | int | None:
        if isinstance(node, Scalar) and node.kind == "boolean":
            return self.reader.flag(node, label)
        if isinstance(node, Scalar) and node.kind == "integer":
            return self.reader.whole(node, label, high=1_000_000_000)
        return self.reader.text(node, label, length_max=1000)

    def _features(self, node: Node, where: str) -> tuple[FeatureSpec, ...]:
        found: dict[str, FeatureSpec] = {}
        for item in self.reader.sequence(node, f"{where}: features", length_max=FEATURES_MAX):
            label = f"{where}: feature"
            mapping = self.reader.mapping(item, label)
            if mapping is None:
                continue
            fields = Fields(mapping, label, self.problems)
            key = fields.code("key", default="")
            name = fields.text("name", length_max=120)
            value_node = fields.node("value")
            value: bool | str | None = True
            if isinstance(value_node, Scalar) and value_node.kind == "boolean":
                value = self.reader.flag(value_node, fields.label("value"))
            elif value_node is not None:
                value = self.reader.text(value_node, fields.label("value"), length_max=200)
            group = fields.text("group", length_max=60)
            fields.finish()
            if not ("key" in mapping.entries and name):
                self.problems.add(item.line, f"{label} needs a key and a name")
            elif key in found:
                self.problems.add(item.line, f"{where}: feature {key!r} is listed twice")
            elif key and value is not None:
                found[key] = FeatureSpec(key, name, value, group)
        return tuple(found.values())
