"""The Python in docs/enforcement.md and docs/policy.md runs as written."""

import re
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIRequestFactory

from billing.accounts import actors
from billing.lifecycle import onboard
from billing.models import PolicyDecision, UsageEvent
from tests.support import catalogs, factories

DOCS = Path(__file__).parents[3] / "docs"
NOW = factories.at("2025-11-17T12:00:00")


class Objects:
    def __init__(self) -> None:
        self.titles: list[str] = []

    def create(self, *, title: str) -> str:
        self.titles.append(title)
        return title


def run(name: str) -> dict[str, Any]:
    """All Python blocks of a page, in one namespace that has a ``Case`` and an organization acme on team."""
    catalogs.sync()
    acme = factories.sandbox(slug="acme", clock_at=NOW)
    onboard.subscribe(organization=acme, plan_code="team", actor=actors.operator("test"), now=NOW)
    case = type("Case", (), {"objects": Objects()})
    names: dict[str, Any] = {"Case": case, "__name__": "docs"}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL):
        exec(block, names)  # noqa: S102
    return names


@pytest.mark.django_db
def test_enforcement() -> None:
    names = run("enforcement.md")
    assert names["Case"].objects.titles == ["A first case", "one", "two"]
    request = APIRequestFactory().post("/cases", {"title": "by a view"}, format="json")
    assert names["Cases"].as_view()(request).status_code == 201
    assert sum(event.quantity for event in UsageEvent.objects.filter(meter="case_created")) == 6
    assert names["Case"].objects.titles[-1] == "by a view"


@pytest.mark.django_db
def test_policy(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("policy.md")
    assert names["decision"].allowed
    assert PolicyDecision.objects.get().id == names["decision"].id
    assert "True [] False False" in capsys.readouterr().out
