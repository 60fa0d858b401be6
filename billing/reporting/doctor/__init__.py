"""The doctor: every promise that the books make, as one question each. Silent when all is well."""

from billing.reporting.doctor.examination import INVARIANTS, ROWS_MAX, Violation, broken, run, verify
from billing.reporting.doctor.invariant import Check, Invariant, Scope
from billing.reporting.doctor.sealing import seal_use

__all__ = ["INVARIANTS", "ROWS_MAX", "Check", "Invariant", "Scope", "Violation", "broken", "run", "seal_use", "verify"]
