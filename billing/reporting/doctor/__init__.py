"""The doctor: every promise that the books make, as one query each. Silent when all is well."""

from billing.reporting.doctor.examination import INVARIANTS, ROWS_MAX, Violation, run, verify

__all__ = ["INVARIANTS", "ROWS_MAX", "Violation", "run", "verify"]
