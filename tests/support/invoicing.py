"""A plan with everything that can stand on an invoice, somebody subscribed to it, and what they used."""

from dataclasses import dataclass

from billing.models import Organization, Plan, Subscription, SubscriptionPeriod
from tests.support import factories
from tests.support.factories import Overage, at


@dataclass(frozen=True)
class Customer:
    organization: Organization
    plan: Plan
    subscription: Subscription
    period: SubscriptionPeriod


def team_plan() -> Plan:
    return factories.plan(
        code="team",
        name="Team",
        base_fees={"USD": 4900, "JPY": 7000, "KWD": 15500},
        credit_rates={"USD": "10", "JPY": "1500", "KWD": "3.0005"},
        overages=[
            Overage("context", "15000000", {"USD": "0.5", "JPY": "75", "KWD": "0.1555"}, per="1000000"),
            Overage("generated", "200000", {"USD": "2", "JPY": "300", "KWD": "0.6"}, per="1000000"),
        ],
    )


def customer(plan: Plan, *, currency: str = "USD", organization: Organization | None = None) -> Customer:
    """Subscribed since 1 March 2026, with March as first period."""
    organization = organization or factories.organization(currency=currency)
    subscription = factories.subscription(
        organization=organization, plan=plan, starts_at=at("2026-03-01"), currency=currency
    )
    return Customer(organization, plan, subscription, factories.period(subscription, ends_at=at("2026-04-01")))


def traffic(acme: Customer, period: SubscriptionPeriod | None = None) -> None:
    """The overage of the hour of real traffic."""
    factories.charge(period or acme.period, plan=acme.plan, meter="context", overage="3059974")
    factories.charge(period or acme.period, plan=acme.plan, meter="generated", overage="45896", credit_deficit="0.1")
