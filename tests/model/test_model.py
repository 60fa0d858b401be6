"""A few hundred of those steps; ``make model`` takes fifty thousand."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model import acts, tenant, walk
from tests.planted.code_bugs import a_limit_one_too_high


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("billing").setLevel(logging.ERROR)
    yield
    logging.getLogger("billing").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("real_db")
def test_the_product_answers_as_the_model_does() -> None:
    report = walk.walk(steps=180, seed=4, life_steps=60)
    assert not report.divergences, report.text()
    assert (report.steps, report.verified) == (180, 1)
    assert len(report.answers) > 25, report.text()


@pytest.mark.usefixtures("real_db")
def test_a_limit_one_too_high_is_found_and_told_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    a_limit_one_too_high(monkeypatch)
    monkeypatch.setattr(walk, "SHORTENING_SECONDS", 3)
    report = walk.walk(steps=400, seed=9)
    (divergence,) = report.divergences
    assert "the model says refused quota_exceeded" in divergence
    assert divergence.count("\n") < 20, divergence


@pytest.mark.usefixtures("real_db")
def test_a_seed_repeats_its_walk() -> None:
    first, second = (walk.walk(steps=25, seed=9) for _ in range(2))
    assert first.answers == second.answers


def test_the_model_knows_nothing_of_the_product() -> None:
    for module in (acts, tenant):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not any(name.split(".")[0] in ("billing", "django") for name in named), module.__name__
