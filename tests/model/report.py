"""What a walk came to."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    seed: int
    steps: int = 0
    lives: int = 0
    verified: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    divergences: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Report) -> None:
        """What another walk of the same seed came to, beside this one."""
        self.steps += other.steps
        self.lives += other.lives
        self.verified += other.verified
        self.answers.update(other.answers)
        self.divergences += other.divergences

    def as_json(self) -> str:
        return json.dumps(vars(self))

    def text(self) -> str:
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.answers.items()))
        figures = f"seed {self.seed}: {self.steps} steps, {self.lives} organizations, doctor {self.verified} times"
        figures += f", {len(self.divergences)} divergences, {self.seconds:.0f} s"
        return "\n".join([told, *self.divergences, figures])
