"""Asking one endpoint until a promise is found broken: how a planted bug is met."""

from __future__ import annotations

from tests.corpus import drawing, operations
from tests.corpus.running import Runner
from tests.corpus.stage import Stage

# So many are drawn at most, of which those of other families are passed over.
DRAWN_MAX = 1500


def broken(stage: Stage, operation_id: str, families: frozenset[str], *, kind: str, seed: int = 1) -> list[str]:
    """What is found of that kind, empty where nothing is."""
    operation = operations.operations()[operation_id]
    cases = (drawing.draw(operation, seed, number) for number in range(DRAWN_MAX))
    with Runner(stage, seed, shortens=False) as runner:
        for start in (case for case in cases if case.family in families):
            runner.run(operation, [start])
            if runner.report.kinds[kind]:
                return [text for text in runner.report.told if text.startswith(f"{kind}:")]
    return []
