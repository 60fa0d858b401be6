"""The small catalog with guardrail rules on what its team plan charges for."""

from tests.support import catalogs

RULES = "guardrails: {review: hold, vendor_fault: waive, drift: annotate}"
TEXT = catalogs.TEXT.replace(
    '        overage_price: {USD: {rate: "0.50", per: "100"}, JPY: {rate: "50", per: "100"}}\n',
    '        overage_price: {USD: {rate: "0.50", per: "100"}, JPY: {rate: "50", per: "100"}}\n' + f"        {RULES}\n",
).replace(
    'tasks: {limit: 5, cadence: weekly, on_limit: block, credits_per_unit: "1"}',
    f'tasks: {{limit: 5, cadence: weekly, on_limit: block, credits_per_unit: "1", {RULES}}}',
)


def sync() -> None:
    catalogs.sync(TEXT)
