"""The hour of real traffic, which stays outside the repository, and the plan that it is billed by."""

import csv
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "llm_inference_code.csv"
needed = pytest.mark.skipif(not FILE.exists(), reason=f"the traffic file is not there: {FILE}")

ROWS = 8_819
CONTEXT = 18_059_974
GENERATED = 245_896
OPTIONS = (
    "--time-column", "TIMESTAMP",
    "--map", "ContextTokens=llm_context_tokens",
    "--map", "GeneratedTokens=llm_generated_tokens",
)  # fmt: skip

CATALOG = """
default_plan: traffic
events:
  llm_context_tokens: [context_tokens]
  llm_generated_tokens: [generated_tokens]
plans:
  traffic:
    name: Traffic
    base_fee: arrears
    price: {USD: "49.00"}
    credit_price: {USD: "10.00"}
    credit_allowance: "0.1"
    entitlements:
      context_tokens:
        limit: 15000000
        cadence: billing_period
        on_limit: overage
        overage_price: {USD: {rate: "0.50", per: "1000000"}}
      generated_tokens:
        limit: 200000
        cadence: billing_period
        on_limit: overage
        credits_per_unit: "0.000001"
        overage_price: {USD: {rate: "2.00", per: "1000000"}}
"""


def events() -> list[tuple[str, str]]:
    """The uses of the file as (meter, quantity), read without the product."""
    with FILE.open(newline="") as stream:
        return [
            (meter, row[column])
            for row in csv.DictReader(stream)
            for column, meter in (
                ("ContextTokens", "llm_context_tokens"),
                ("GeneratedTokens", "llm_generated_tokens"),
            )
        ]
