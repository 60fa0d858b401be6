"""The "Lab Standard" plan, which makes an empty sandbox usable."""

from __future__ import annotations

from functools import cache

from billing.catalog import parsing
from billing.catalog.schema import CatalogSpec

_CATALOG = """
default_plan: lab_standard
plans:
  lab_standard:
    name: Lab Standard
    description: Everything a first experiment needs, free of charge. It goes when a catalog file is synced.
    credit_allowance: 100
    sla: {tier: best-effort}
    limits:
      max_cases: 1000
      max_evaluations_per_month: 500
      express_entry_enabled: true
      lifecycle_transitions_enabled: true
      document_generation_enabled: true
    features:
      - {key: cases, name: Cases, value: "1,000", group: Limits}
      - {key: evaluations, name: Evaluations a month, value: "500", group: Limits}
"""


@cache
def standard() -> CatalogSpec:
    return parsing.load(_CATALOG, "lab-standard.yaml")
