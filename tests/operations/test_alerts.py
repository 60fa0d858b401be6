"""Alert rules and dashboard ask for figures that there are, by labels that they have; each alert has its runbook."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config" / "operations"
PAGE = ROOT / "docs" / "operations.md"
# Of Prometheus itself.
OWN = {"up": {"job"}}
# Counted in memory, so a process that has answered little knows no label of theirs yet.
LABELS = {
    "billing_calls_limited_total": {"by"},
    "billing_events_total": {"meter"},
    "billing_subscriptions": {"status", "plan"},
    "billing_invoices": {"status"},
    "billing_invariant_violations": {"invariant"},
    "billing_invariant_verified_timestamp_seconds": {"invariant"},
    "plan_limit_violations_total": {"note"},
    "django_http_responses_total_by_status_total": {"status"},
    "django_http_requests_latency_seconds_by_view_method_bucket": {"view", "method", "le"},
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
NAME = re.compile(r"[a-z][a-z0-9_]*")
WORDS = {"sum", "by", "rate", "time", "max", "histogram_quantile"}


def rules() -> list[dict[str, object]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for rule in rules():
        yield str(rule["expr"])
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


@pytest.fixture
def exported(db: None, settings: Settings) -> dict[str, set[str]]:
    """Every name of a sample that a scrape can bring, with its labels."""
    settings.METRICS_TOKEN = "token-of-the-scraper"
    client = Client(headers={"authorization": f"Bearer {settings.METRICS_TOKEN}"})
    client.get("/internal/metrics")  # So that there are requests to be counted.
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/internal/metrics").content.decode()):
        for suffix in SUFFIXES.get(family.type, ()):
            names.setdefault(family.name + suffix, set())
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
    assert all(names[name] <= labels for name, labels in LABELS.items())
    return names | {name: set(labels) for name, labels in LABELS.items()} | OWN


def test_every_figure_that_is_asked_for_is_exported(exported: dict[str, set[str]]) -> None:
    asked = {expression: set(names_in(expression)) for expression in expressions()}
    assert all(asked.values())
    assert {name for names in asked.values() for name in names} - exported.keys() == set()


def test_every_label_that_is_asked_for_is_one_of_the_figure(exported: dict[str, set[str]]) -> None:
    for expression in expressions():
        for name, labels in re.findall(r"([a-z][a-z0-9_]*)\{([^}]*)\}", expression):
            assert set(re.findall(r"([a-z_]+)[!=]", labels)) <= exported[name], expression
        known = set().union(*(exported[name] for name in names_in(expression)))
        for labels in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(NAME.findall(labels)) <= known, expression


def test_every_figure_of_the_books_is_on_the_dashboard(exported: dict[str, set[str]]) -> None:
    books = {name for name in exported if name.startswith(("billing_", "plan_")) and not name.endswith("_created")}
    shown = {name for expression in expressions() for name in names_in(expression)}
    assert books - shown == set()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_a_section_of_the_runbook(rule: dict[str, dict[str, str]]) -> None:
    name = str(rule["alert"])
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    assert name in headings()


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    runbook = PAGE.read_text().partition("\n## Runbook\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE)) == {str(rule["alert"]) for rule in rules()}


@cache
def headings() -> frozenset[str]:
    return frozenset(re.findall(r"^### (.+)$", PAGE.read_text(), re.MULTILINE))


def names_in(expression: str) -> list[str]:
    """The figures of an expression: words that are neither its functions nor inside braces, brackets or ``by (…)``."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", " ", expression)
    return [word for word in re.findall(r"(?<![\w.])[a-z][a-z0-9_]*", bare) if word not in WORDS]
