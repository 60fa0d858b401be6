"""Which case is drawn: the same for the same seed, endpoint and number, whatever was drawn before."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.corpus import bases, bodies, requests
from tests.corpus.cases import Base, Case, Subject
from tests.corpus.operations import Operation

Family = Callable[[Subject], Case]
# Each with its weight where there is a body, and where there is none.
FAMILIES: dict[str, tuple[Family, int, int]] = {
    "framing": (requests.framing, 8, 16),
    "syntax": (bodies.syntax, 12, 3),
    "structure": (bodies.structure, 8, 2),
    "type": (bodies.types, 12, 3),
    "boundary": (bodies.boundary, 16, 2),
    "injection": (requests.injection, 12, 18),
    "query": (requests.query, 6, 26),
    "presence": (bodies.presence, 8, 3),
    "identity": (requests.identity, 12, 18),
    "idempotency-header": (requests.idempotency, 5, 5),
    "extra-field": (bodies.extra_fields, 8, 4),
    "signature": (requests.signature, 0, 0),
}
_SIGNED = 40
SOUND = "sound"
# Drawing again where the same case was there already; then it is one too few rather than one twice.
_TRIES = 12
OF_A_WRITE_OR_LIST, OF_A_READ = 2000, 500


def chance_of(seed: int, operation: Operation, number: int) -> random.Random:
    return random.Random(f"{seed}/{operation.id}/{number}")  # noqa: S311 - to be drawn again


def draw(operation: Operation, seed: int, number: int) -> Case:
    """The case of this number."""
    chance = chance_of(seed, operation, number)
    found = bases.bases_of(operation.id)
    base = found[number % len(found)]
    subject = Subject(operation, base, chance, number)
    has_body = bool(operation.bodies)
    weights = [_weight(name, has_body=has_body, is_signed="X-Sign-As" in base.headers) for name in FAMILIES]
    name = chance.choices(list(FAMILIES), weights)[0]
    return FAMILIES[name][0](subject)


def _weight(name: str, *, has_body: bool, is_signed: bool) -> int:
    if name == "signature":
        return _SIGNED if is_signed else 0
    _, with_body, without = FAMILIES[name]
    return with_body if has_body else without


def sound(operation: Operation) -> list[Case]:
    """The requests that the others depart from: these have to succeed, or the others prove little."""
    found = bases.bases_of(operation.id)
    return [
        Subject(operation, base, chance_of(0, operation, index), index).case(SOUND) for index, base in enumerate(found)
    ]


def cases(operation: Operation, seed: int, count: int) -> Iterator[Case]:
    """``count`` cases, no two alike."""
    seen = set()
    number = 0
    for _ in range(count * _TRIES):
        case = draw(operation, seed, number)
        number += 1
        if case.identity in seen:
            continue
        seen.add(case.identity)
        yield case
        if len(seen) == count:
            return


def base_of(operation: Operation, case: Case) -> Base:
    found = bases.bases_of(operation.id)
    return found[case.number % len(found)]
