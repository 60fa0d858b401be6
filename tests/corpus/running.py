"""Sending many cases, each in a transaction that is undone, and what was found."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from django.db import Error, connection, connections, transaction

from tests.corpus import drawing, judging, keeping, shortening, watching
from tests.corpus.cases import Base, Case
from tests.corpus.judging import Finding
from tests.corpus.operations import JSON, Operation
from tests.corpus.reports import Report
from tests.corpus.sending import Answer, Sender
from tests.corpus.stage import Stage
from tests.corpus.watching import Watch

# So many share a transaction: what it undoes piles up until it ends.
TOGETHER = 250
FOUND_MAX = 40


class Runner:
    """Sends cases on one stage. ``with`` it: a request's transaction is then one within ours."""

    def __init__(self, stage: Stage, seed: int, *, shortens: bool = True) -> None:
        self.stage, self.report, self._shortens = stage, Report(seed), shortens
        self.sender = Sender(stage)
        self._seen: set[tuple[str, str]] = set()

    def __enter__(self) -> Runner:
        self.sender.__enter__()
        # On a connection of its own what is refused could not see what is not committed.
        self._separate = connections["refusals"]
        connections["refusals"] = connections["default"]
        self.watch = Watch()
        return self

    def __exit__(self, *_: object) -> None:
        connections["refusals"] = self._separate
        self.sender.__exit__()

    def run(self, operation: Operation, cases: Iterable[Case]) -> None:
        """All ``cases`` of an endpoint."""
        began = time.monotonic()
        for base, group in _grouped(operation, cases):
            for start in range(0, len(group), TOGETHER):
                with self.prepared(base) as trial:
                    for case in group[start : start + TOGETHER]:
                        self._try(trial, operation, case)
        self.report.seconds += time.monotonic() - began

    def _try(self, trial: Trial, operation: Operation, case: Case) -> None:
        answer, findings = trial.judged(operation, case)
        self.report.families[case.family] += 1
        self.report.endpoints[operation.id] += 1
        self.report.statuses[str(answer.status)] += 1
        if case.family == drawing.SOUND and answer.status >= 300:
            self.report.refused.append(operation.id)
        for finding in findings:
            self.report.kinds[finding.kind] += 1
            if (operation.id, finding.kind) in self._seen or len(self.report.told) >= FOUND_MAX:
                continue
            self._seen.add((operation.id, finding.kind))
            shortest = self._shortest(trial, operation, case, finding.kind)
            text = next((each.text for each in trial.judged(operation, shortest)[1] if each.kind == finding.kind), "")
            repeat = f"--seed {self.report.seed} --only {case.operation}:{case.number}"
            self.report.told.append(f"{finding.kind}: {text or finding.text}\n{shortest}\n  again: {repeat}")

    def _shortest(self, trial: Trial, operation: Operation, case: Case, kind: str) -> Case:
        if not self._shortens:
            return case
        return shortening.shortened(case, lambda tried: trial.is_found(operation, tried, kind))

    def prepared(self, base: Base) -> Prepared:
        """The stage as ``base`` needs it, undone afterwards."""
        return Prepared(self, base)


def _grouped(operation: Operation, cases: Iterable[Case]) -> Iterator[tuple[Base, list[Case]]]:
    """By the request that they depart from, as what has to be there before differs."""
    groups: dict[int, tuple[Base, list[Case]]] = {}
    for case in cases:
        base = drawing.base_of(operation, case)
        groups.setdefault(id(base), (base, []))[1].append(case)
    yield from groups.values()


class Prepared:
    """The stage with what a base wants done before, in a transaction that is undone."""

    def __init__(self, runner: Runner, base: Base) -> None:
        self.runner, self.base = runner, base

    def __enter__(self) -> Trial:
        self._atomic = transaction.atomic()
        self._atomic.__enter__()
        sender, made = self.runner.sender, {}
        sender.stage = self.runner.stage
        for path, body in self.base.before:
            answer = sender.send(_before(path, body))
            if answer.status >= 300:
                raise AssertionError(f"{path} is answered {answer.status}: {answer.content[:500]!r}")
            if isinstance(answer.json, dict) and "id" in answer.json:
                made = {"made.id": answer.json["id"]}
        sender.stage = replace(self.runner.stage, names={**self.runner.stage.names, **made})
        return Trial(self.runner)

    def __exit__(self, *_: object) -> None:
        transaction.set_rollback(True)
        self._atomic.__exit__(None, None, None)
        self.runner.sender.stage = self.runner.stage


def _before(path: str, body: object) -> Case:
    """``path`` may begin with a method, or with who calls."""
    *words, target = path.split(" ")
    method = next((word for word in words if word.isupper()), "POST")
    caller = next((word for word in words if word.islower()), "platform")
    raw = b"" if body is None else json.dumps(body).encode()
    return Case("", "before", 0, caller, method, target, "", (("Content-Type", JSON),), raw)


class Trial:
    """One transaction in which cases are tried."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._watch, self._sender = runner.watch, runner.sender
        self._count = self._watch.count()
        self._digest: watching.Digest | None = None

    def judged(self, operation: Operation, case: Case) -> tuple[Answer, list[Finding]]:
        """The answer to ``case`` and all that is wrong with it; whatever it did is undone."""
        if self._digest is None:
            self._digest = self._watch.digest()
        with transaction.atomic():
            answer = self._sender.send(case)
            findings = list(judging.judge(case, operation, answer, self._sender.stage))
            findings += self._changes(operation, case, answer)
            if (
                answer.status < 300
                and case.method == operation.method
                and operation.is_write
                and case.family != "framing"
            ):
                findings += self._kept(operation, case, answer)
            transaction.set_rollback(True)
        return answer, findings

    def is_found(self, operation: Operation, case: Case, kind: str) -> bool:
        return any(each.kind == kind for each in self.judged(operation, case)[1])

    def _changes(self, operation: Operation, case: Case, answer: Answer) -> list[Finding]:
        try:
            count = self._watch.count() if answer.status < 500 else -1
        except Error as error:
            return [Finding("changed", f"nobody can tell: {answer.status} left the transaction broken, {error}")]
        had, self._count = self._count, count
        reads = case.method in judging.SAFE and operation.id not in judging.READS_THAT_WRITE
        if count == had or count < 0 or (answer.status < 400 and not reads):
            return []
        self._runner.report.compared += 1
        assert self._digest is not None
        tables = watching.changed(self._digest, self._watch.digest())
        said = f"{answer.status} {answer.content[:300].decode('utf-8', 'replace')}"
        return [Finding("changed", f"{', '.join(tables)} changed with {said}")] if tables else []

    def _kept(self, operation: Operation, case: Case, answer: Answer) -> list[Finding]:
        found = list(judging.accepted(case, operation, answer, self._sender.stage))
        if found:
            return found
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except Error as error:
            return [Finding("5xx", f"{answer.status}, and the commit would fail: {error}")]
        raw = self._sender.stage.fill_bytes(case.body)
        document = json.loads(raw) if raw else {}
        found = [Finding("kept", each) for each in keeping.differences(case, operation, document, answer, self._read)]
        if operation.is_idempotent and any(name == "Idempotency-Key" for name, _ in case.headers):
            found += self._twice(operation, case, answer)
        self._count = self._watch.count()
        return found

    def _read(self, path: str) -> Answer:
        target, _, query = path.partition("?")
        return self._sender.send(Case("", "again", 0, "platform", "GET", target, query, (), b""))

    def _twice(self, operation: Operation, case: Case, answer: Answer) -> list[Finding]:
        """The same again is the first answer, byte for byte, and nothing more; another request is told so."""
        before, found = self._watch.digest(), []
        again = self._sender.send(case)
        if (again.status, again.content) != (answer.status, answer.content):
            found.append(
                Finding("twice", f"first {answer.status} {answer.content!r}, then {again.status} {again.content!r}")
            )
        other = self._sender.send(replace(case, body=b'{"reason":"another"}'))
        if other.status < 400:
            found.append(Finding("twice", f"another request under the same key is answered {other.status}"))
        if tables := watching.changed(before, self._watch.digest()):
            found.append(Finding("twice", f"sent again it changed {', '.join(tables)}"))
        return found
