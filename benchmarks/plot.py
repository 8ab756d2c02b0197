"""A log-log plot as SVG, in a few lines. Knows numbers and names only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 260, 70, 60

Points = Sequence[tuple[float, float]]


def log_log(series: Mapping[str, Points], title: str, across: str, up: str) -> str:
    """The plot's SVG text.

    Args:
        series: (x, y) above 0 of each line, by its name; at least one point.
        title: above. across, up: what the axes measure.
    """
    points = [point for line in series.values() for point in line]
    if not points or min(min(point) for point in points) <= 0:
        raise ValueError("expected at least one point, and numbers above 0")
    x_low, x_high = _decades([x for x, _ in points])
    y_low, y_high = _decades([y for _, y in points])
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + width * (log10(x) - x_low) / (x_high - x_low)
        return round(across, 1), round(_TOP + height * (y_high - log10(y)) / (y_high - y_low), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>',
        _text(_LEFT, 28, title, "start", size=16),
        _text(_LEFT + width / 2, _HEIGHT - 16, across),
        _text(_LEFT, _TOP - 10, up, "start"),
    ]
    for power in range(x_low, x_high + 1):
        x, _ = place(10.0**power, 10.0**y_low)
        parts += [
            _line(x, _TOP, x, _TOP + height),
            _text(x, _TOP + height + 20, f"{10.0**power:,.{max(0, -power)}f}"),
        ]
    for power in range(y_low, y_high + 1):
        _, y = place(10.0**x_low, 10.0**power)
        parts += [_line(_LEFT, y, _LEFT + width, y), _text(_LEFT - 8, y + 4, f"{10.0**power:g}", "end")]
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dashes = ' stroke-dasharray="6 4"' if number >= len(_COLOURS) else ""
        places = [place(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in places]
        y = _TOP + 14 + 22 * number
        x = _WIDTH - _RIGHT + 20
        parts.append(f'<path d="M{x} {y}h26" stroke="{colour}" stroke-width="3"{dashes}/>')
        parts.append(_text(x + 34, y + 4, name, "start"))
    return "\n".join([*parts, "</svg>\n"])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values)) + 1e-9), ceil(log10(max(values)) - 1e-9)
    return low, max(high, low + 1)


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 13) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _line(x: float, y: float, x_end: float, y_end: float) -> str:
    return f'<path d="M{x} {y}L{x_end} {y_end}" stroke="#ddd"/>'
