"""Bars for every day, as coordinates that a template draws: pure, and the same in every locale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

WIDTH, HEIGHT = 720, 240
# Room for what is written: figures on the left, days below, a label's height above.
LEFT, BOTTOM, TOP = 60, 24, 12
_STEPS = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))
# Days are named at most this often, or their names would meet.
_NAMES_MAX = 8


@dataclass(frozen=True, slots=True)
class Point:
    """What a bar stands for: ``above`` is the part of ``value`` that is drawn in another colour on top; ``text`` says
    it in words, ``name`` in short below."""

    value: Decimal
    above: Decimal
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A text at a place: a figure of the scale, or a day's name."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    height: int
    left: int
    right: int
    floor: int
    label_y: int
    bars: tuple[Bar, ...]
    figures: tuple[Mark, ...]
    names: tuple[Mark, ...]


def draw(points: Sequence[Point], *, figure: Callable[[Decimal], str]) -> Chart:
    """``figure`` writes a number of the scale. There has to be a point."""
    top = scale(max(point.value for point in points))
    room, floor = HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
    step = Decimal(WIDTH - LEFT) / len(points)
    width = max(step * Decimal("0.72"), Decimal(1))
    bars = []
    for index, point in enumerate(points):
        x = LEFT + step * index + (step - width) / 2
        whole, above = room * point.value / top, room * point.above / top
        if whole > above:
            bars.append(Bar(_at(x), _at(floor - whole + above), _at(width), _at(whole - above), "", point.text))
        if above:
            bars.append(Bar(_at(x), _at(floor - whole), _at(width), _at(above), "s3", point.text))
    every = -(-len(points) // _NAMES_MAX)
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH,
        floor=floor,
        label_y=HEIGHT - 6,
        bars=tuple(bars),
        figures=tuple(Mark(_at(floor - room * part / 2), figure(top * part / 2)) for part in (Decimal(1), Decimal(2))),
        names=tuple(
            Mark(_at(LEFT + step * index + step / 2), point.name)
            for index, point in enumerate(points)
            if index % every == 0
        ),
    )


def scale(highest: Decimal) -> Decimal:
    """A round number at or above ``highest``, whose half is one to read too: 1, 2, 5 or 10 times a power of ten."""
    if highest <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(highest.adjusted())
    times = (highest / power).quantize(Decimal("0.000001"), ROUND_CEILING)
    return next(step for step in _STEPS if step >= times) * power


def _at(value: Decimal) -> str:
    return f"{value:.1f}"
