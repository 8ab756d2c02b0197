"""Draws told against true as SVG: square panels with a diagonal, points, a legend. Knows no measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import NamedTuple

_SIDE, _GAP, _LEFT, _TOP, _BELOW = 300, 90, 64, 44, 96
_COLOURS = ("#1f6fb4", "#d9641e", "#3b8f3e", "#8a4fa8")
_FONT = 'font-family="sans-serif" font-size="12"'


class Point(NamedTuple):
    """What was told, what was true, and how many it stands for (or which place in a list)."""

    x: float
    y: float
    stands_for: float


class Series:
    """Points of one set, in order."""

    def __init__(self, name: str, points: Sequence[tuple[float, float, float]]) -> None:
        self.name = name
        self.points = [Point(*each) for each in points]


@dataclass(frozen=True)
class Panel:
    """A square with the same scale on both sides.

    Attributes:
        title, across, up: texts. limits: of both axes. logarithmic: both axes; what is at or below the lower
            limit lies on the edge.
        series: what is drawn.
    """

    title: str
    across: str
    up: str
    limits: tuple[float, float]
    logarithmic: bool
    series: Sequence[Series]


def draw(panels: Sequence[Panel]) -> str:
    """The panels side by side, one legend below."""
    width = _LEFT + len(panels) * (_SIDE + _GAP) - _GAP + 20
    height = _TOP + _SIDE + _BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({_LEFT + number * (_SIDE + _GAP)} {_TOP})">')
        parts += [*_frame(panel), *_points(panel), "</g>"]
    names = dict.fromkeys(each.name for panel in panels for each in panel.series)
    for number, name in enumerate(names):
        x, y = _LEFT + number * 170, _TOP + _SIDE + 76
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 12}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def place(value: float, panel: Panel) -> float:
    """0 to 1 along an axis."""
    low, high = panel.limits
    kept = min(max(value, low), high)
    if panel.logarithmic:
        return (log10(kept) - log10(low)) / (log10(high) - log10(low))
    return (kept - low) / (high - low)


def ticks(panel: Panel) -> list[float]:
    """Values that are written beside an axis."""
    low, high = panel.limits
    if panel.logarithmic:
        return [10.0**power for power in range(floor(log10(low) + 0.5), floor(log10(high) + 0.5) + 1)]
    return [low + (high - low) * part / 4 for part in range(5)]


def _frame(panel: Panel) -> list[str]:
    parts = [
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#444"/>',
        f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" stroke="#999" stroke-dasharray="4 4"/>',
        f'<text x="{_SIDE / 2}" y="-14" text-anchor="middle" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{_SIDE / 2}" y="{_SIDE + 40}" text-anchor="middle">{escape(panel.across)}</text>',
        f'<text transform="translate(-44 {_SIDE / 2}) rotate(-90)" text-anchor="middle">{escape(panel.up)}'
        "</text>",
    ]
    for value in ticks(panel):
        at = place(value, panel) * _SIDE
        parts.append(f'<text x="{at:.1f}" y="{_SIDE + 18}" text-anchor="middle">{value:g}</text>')
        parts.append(f'<text x="-8" y="{_SIDE - at + 4:.1f}" text-anchor="end">{value:g}</text>')
        parts.append(f'<line x1="{at:.1f}" y1="{_SIDE}" x2="{at:.1f}" y2="0" stroke="#eee"/>')
        parts.append(f'<line x1="0" y1="{_SIDE - at:.1f}" x2="{_SIDE}" y2="{_SIDE - at:.1f}" stroke="#eee"/>')
    return parts


def _points(panel: Panel) -> list[str]:
    parts = []
    for number, series in enumerate(panel.series):
        colour = _COLOURS[number % len(_COLOURS)]
        where = [(place(p.x, panel) * _SIDE, _SIDE - place(p.y, panel) * _SIDE) for p in series.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-opacity=".5"/>')
        for (x, y), point in zip(where, series.points, strict=True):
            told = f"{point.x:.3g} told, {point.y:.3g} true, {point.stands_for:g}"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{told}</title></circle>'
            )
    return parts
