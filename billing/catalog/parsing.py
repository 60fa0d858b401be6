"""``plans.yaml`` → ``CatalogSpec``: the door through which a catalog file comes in, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from billing.catalog import rules, tree
from billing.catalog.fields import Fields, Reader
from billing.catalog.planning import PlanReader
from billing.catalog.problems import CatalogInvalid, Problem, Problems
from billing.catalog.schema import PRODUCT, CatalogSpec, MeterSpec, PlanSpec
from billing.catalog.tree import Entry, Mapping, Node, Scalar, Sequence

PLANS_MAX = 200
EVENTS_MAX = 1000
# The events that the product's documents track. A file without ``events:`` gets these.
DOCUMENTED_EVENTS = {
    "case_created": ("max_cases",),
    "evaluation_run": ("express_entry_enabled", "max_evaluations_per_month"),
    "lifecycle_transition": ("lifecycle_transitions_enabled",),
    "document_generated": ("document_generation_enabled",),
}


def load(source: Path | str | bytes, name: str = "") -> CatalogSpec:
    """Read and check a catalog. ``source`` is a path, or the text itself; ``name`` is what messages call the file.

    Raises ``CatalogInvalid`` with every problem found, each with file, line and reason.
    """
    file = name or (str(source) if isinstance(source, Path) else "plans.yaml")
    problems = Problems(file)
    root = tree.read(_bytes_of(source, file), problems)
    catalog = _CatalogReader(problems).read(root) if root is not None else None
    if catalog is None or problems.found:
        raise CatalogInvalid(problems.found)
    return catalog


def _bytes_of(source: Path | str | bytes, file: str) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str):
        # A lone surrogate cannot be encoded; passed through, it is found as what it is: not UTF-8.
        return source.encode("utf-8", "surrogatepass")
    try:
        with source.open("rb") as stream:
            return stream.read(tree.SIZE_MAX_BYTES + 1)
    except OSError as error:
        raise CatalogInvalid([Problem(file, 0, f"cannot be read: {error.strerror}")]) from error


class _CatalogReader:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.reader = Reader(problems)
        # Plans with problems of their own: what they contradict elsewhere cannot be told before those are mended.
        self.broken: set[str] = set()

    def read(self, root: Node) -> CatalogSpec | None:
        mapping = self.reader.mapping(root, "the catalog")
        if mapping is None:
            return None
        fields = Fields(mapping, "", self.problems)
        default_plan = self._default_plan(fields)
        events, plans_node = fields.node("events"), fields.node("plans")
        fields.finish()
        before = len(self.problems.found)
        meters = self._meters(events) if events is not None else ()
        events_are_sound = len(self.problems.found) == before
        plans = self._plans(plans_node)
        if events is None:
            meters = _documented(plans)
        if default_plan and plans:
            rules.check_default(default_plan, fields.line_of("default_plan"), plans, self.problems)
        if events_are_sound:
            plans = rules.bind(plans, meters)
            sound = [plan for plan in plans if plan.code not in self.broken]
            rules.check_plans(sound, meters, self.problems)
            if not self.broken:
                rules.check_guards_listed(plans, meters, self.problems)
        return CatalogSpec(self.problems.file, default_plan, plans, meters)

    def _default_plan(self, fields: Fields) -> str:
        node = fields.node("default_plan")
        if node is None:
            self.problems.add(1, "default_plan is missing")
            return ""
        return self.reader.code(node, "default_plan") or ""

    def _meters(self, node: Node) -> tuple[MeterSpec, ...]:
        mapping = self.reader.mapping(node, "events")
        entries = mapping.entries if mapping else {}
        if len(entries) > EVENTS_MAX:
            self.problems.add(node.line, f"events has more than {EVENTS_MAX} entries")
            return ()
        found = [
            self._meter(code, entry)
            for code, entry in entries.items()
            if self.reader.is_code(code, entry.line, "event")
        ]
        return tuple(sorted(found, key=lambda meter: meter.code))

    def _meter(self, code: str, entry: Entry) -> MeterSpec:
        where = f"event {code}"
        if isinstance(entry.value, Sequence):
            return MeterSpec(code, self._guards(entry.value, where), line=entry.line)
        if not isinstance(entry.value, Mapping):
            self.reader.misfit(entry.value, where, "a list of limits or a mapping")
            return MeterSpec(code, line=entry.line)
        fields = Fields(entry.value, where, self.problems)
        guards = fields.node("guards")
        meter = MeterSpec(
            code,
            self._guards(guards, where) if guards is not None else (),
            product=fields.code("product", default=PRODUCT),
            description=fields.text("description", length_max=200),
            unit=fields.text("unit", default="unit", length_max=40),
            line=entry.line,
        )
        fields.finish()
        return meter

    def _guards(self, node: Node, where: str) -> tuple[str, ...]:
        guards: list[str] = []
        for item in self.reader.sequence(node, f"{where}: guards", length_max=20):
            code = self.reader.code(item, f"{where}: guard")
            if code in guards:
                self.problems.add(item.line, f"{where}: guard {code!r} is listed twice")
            elif code is not None:
                guards.append(code)
        return tuple(sorted(guards))

    def _plans(self, node: Node | None) -> tuple[PlanSpec, ...]:
        if node is None:
            self.problems.add(1, "plans is missing")
            return ()
        if isinstance(node, Scalar):
            self.reader.misfit(node, "plans", "a mapping")
            return ()
        given = len(node.items if isinstance(node, Sequence) else node.entries)
        if not 0 < given <= PLANS_MAX:
            self.problems.add(node.line, f"plans has more than {PLANS_MAX} entries" if given else "plans is empty")
            return ()
        found = self._listed(node) if isinstance(node, Sequence) else self._mapped(node)
        return tuple(sorted(found, key=lambda plan: plan.code))

    def _mapped(self, mapping: Mapping) -> list[PlanSpec]:
        return [
            self._plan(code, entry.line, entry.value)
            for code, entry in mapping.entries.items()
            if self.reader.is_code(code, entry.line, "plan")
        ]

    def _listed(self, sequence: Sequence) -> list[PlanSpec]:
        first: dict[str, int] = {}
        found = []
        for item in sequence.items:
            mapping = self.reader.mapping(item, "plan")
            if mapping is None:
                continue
            entry = mapping.entries.pop("code", None)
            if entry is None:
                self.problems.add(item.line, "a plan in the list needs a code")
                continue
            code = self.reader.code(entry.value, "plan: code")
            if code in first:
                self.problems.add(entry.line, f"duplicate plan code {code!r}, first given on line {first[code]}")
            elif code is not None:
                first[code] = entry.line
                found.append(self._plan(code, item.line, mapping))
        return found

    def _plan(self, code: str, line: int, node: Node) -> PlanSpec:
        before = len(self.problems.found)
        plan = PlanReader(self.problems).read(code, line, node)
        if len(self.problems.found) > before:
            self.broken.add(code)
        return plan


def _documented(plans: tuple[PlanSpec, ...]) -> tuple[MeterSpec, ...]:
    """The documented events, each guarded by those of its limits that some plan lists."""
    listed = {entitlement.key for plan in plans for entitlement in plan.entitlements}
    return tuple(
        MeterSpec(code, tuple(key for key in guards if key in listed))
        for code, guards in sorted(DOCUMENTED_EVENTS.items())
    )
