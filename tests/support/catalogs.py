"""A small catalog that has one of everything, for tests of the engine."""

from datetime import UTC, datetime

from billing.catalog import operations, parsing

WHEN = datetime(2023, 1, 1, tzinfo=UTC)

TEXT = """
default_plan: free
events:
  case_created: [max_cases]
  evaluation_run: [express_entry_enabled, max_evaluations_per_month]
  document_generated: [document_generation_enabled]
  api_call: [max_api_calls_per_day]
  tokens: [tokens_included]
  task_run: [tasks]
  free_form: []
plans:
  free:
    name: Free
    limits:
      max_cases: 3
      max_evaluations_per_month: 10
      express_entry_enabled: false
      max_api_calls_per_day: 5
  team:
    name: Team
    price: {USD: "49.00", JPY: "4900"}
    credit_price: {USD: "10.00", JPY: "1000"}
    credit_allowance: "10"
    limits:
      max_cases: 500
      max_evaluations_per_month: 100
      express_entry_enabled: true
      document_generation_enabled: true
      max_api_calls_per_day: null
    entitlements:
      tokens_included:
        limit: 1000
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "0.01"
        overage_price: {USD: {rate: "0.50", per: "100"}, JPY: {rate: "50", per: "100"}}
      tasks: {limit: 5, cadence: weekly, on_limit: block, credits_per_unit: "1"}
  scale:
    name: Scale
    price: {USD: "199.00"}
    credit_price: {USD: "8.00"}
    credit_allowance: "40"
    limits:
      max_cases: null
      max_evaluations_per_month: 1000
      express_entry_enabled: true
      document_generation_enabled: true
    entitlements:
      tokens_included:
        limit: 10000
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "0.01"
        overage_price: {USD: {rate: "0.30", per: "100"}}
      tasks: {limit: 50, cadence: weekly, on_limit: block, credits_per_unit: "1"}
  trial:
    name: Trial
    price: {USD: "20.00"}
    credit_price: {USD: "10.00"}
    trial_days: 14
    trial_credits: "2"
    credit_allowance: "5"
    limits: {max_cases: 10}
    entitlements:
      tokens_included:
        limit: 100
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "0.01"
        overage_price: {USD: {rate: "0.50", per: "100"}}
  yearly:
    name: Yearly
    price: {USD: "490.00"}
    credit_price: {USD: "10.00"}
    billing_period: year
    credit_allowance: "10"
    allowance_every: month
    limits: {max_cases: 500}
  hidden:
    name: Hidden
    on_sale: false
    price: {USD: "999.00"}
    limits: {max_cases: null}
"""


def sync(text: str = TEXT) -> None:
    operations.sync(spec=parsing.load(text, name="test"), actor="test", now=WHEN)
