"""Pieces of SVG: elements that escape what they are given, and marks that do not cover each other.

Only presentation attributes, no script, no style and no link, so that a drawing may stand in any page.
"""

from __future__ import annotations

from html import escape
from math import cos, hypot, pi, sin, sqrt

INK, SOFT, LINE, MARK, WARN = "#14181f", "#5b6573", "#aab3be", "#0b5cad", "#8a4b00"
FONT = "Noto Sans KR, Apple SD Gothic Neo, Malgun Gothic, NanumGothic, sans-serif"

_GAP = 8.0  # between discs, their rims included

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, width and height, pixels."""


def element(name: str, *content: str, **attributes: object) -> str:
    """An element; `stroke_width` becomes stroke-width, numbers are rounded, texts escaped.

    Args:
        name: of the element. content: elements, already written. attributes: None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items() if value is not None
    )  # fmt: skip
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def _value(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def words(text: str, x: float, y: float, size: float = 12, **attributes: object) -> str:
    """A text with a white rim, readable on anything."""
    look = {"fill": INK, "stroke": "#fff", "stroke_width": 3, "stroke_linejoin": "round", **attributes}
    return element("text", escape(text), x=x, y=y, font_size=size, paint_order="stroke", **look)


def drawing(content: list[str], width: float, height: float, title: str, description: str) -> str:
    """A whole drawing that says what it shows to those who cannot see it."""
    return element(
        "svg", element("title", escape(title)), element("desc", escape(description)), *content,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width:.0f} {height:.0f}", width="100%",
        role="img", font_family=FONT, aria_label=title,
    )  # fmt: skip


def radius(probability: float | None) -> float:
    """Of the mark of a sighting: its area grows with the probability."""
    return 10.0 if probability is None else 8.0 + 7.0 * sqrt(probability)


def mark(number: int, at: Point, size: float, on_route: bool, label: str) -> str:
    """A sighting: its rank in a disc, full and doubly rimmed when it is on the route."""
    fill, ink = (MARK, "#fff") if on_route else ("#fff", INK)
    rim = element(
        "circle", cx=at[0], cy=at[1], r=size + 2.5, fill="#fff", stroke=MARK, stroke_width=1.5
    ) if on_route else ""  # fmt: skip
    disc = element("circle", cx=at[0], cy=at[1], r=size, fill=fill, stroke=MARK if on_route else SOFT)
    digits = element(
        "text", str(number), x=at[0], y=at[1] + 4, font_size=11, font_weight="bold",
        text_anchor="middle", fill=ink,
    )  # fmt: skip
    return element("g", element("title", escape(label)), rim, disc, digits)


def cross(at: Point) -> str:
    """Where or when the person was last seen."""
    x, y = at
    lines = f"M{x - 8:.1f} {y - 8:.1f}l16 16M{x - 8:.1f} {y + 8:.1f}l16 -16"
    rim = element("path", d=lines, stroke="#fff", stroke_width=7, stroke_linecap="round")
    return rim + element("path", d=lines, stroke=WARN, stroke_width=3.5, stroke_linecap="round")


def spread(wanted: list[tuple[Point, float]], taken: list[tuple[Point, float]]) -> list[Point]:
    """Where to put discs so that none covers another, each as near as it can to where it belongs.

    Args:
        wanted: (middle, radius) of each. taken: the same of what is there already.
    """
    placed = list(taken)
    for middle, size in wanted:
        turn, at = 0, middle
        while any(hypot(at[0] - x, at[1] - y) < size + other + _GAP for (x, y), other in placed):
            turn += 1
            away, angle = 3.0 * sqrt(turn), turn * pi * (3 - sqrt(5))  # a sunflower's spiral
            at = middle[0] + away * cos(angle), middle[1] + away * sin(angle)
        placed.append((at, size))
    return [at for at, _ in placed[len(taken) :]]


def label(
    text: str, at: Point, away: float, size: float, taken: list[tuple[Point, float]], written: list[Box],
    **attributes: object,
) -> str:  # fmt: skip
    """A text beside a disc, on the first side where it covers no disc and no other text.

    Args:
        text: what. at, away: the disc. size: of the letters. taken: (middle, radius) of all discs.
        written: boxes of the texts so far; this one's is added.
    """
    wide = sum(1.0 if ord(letter) > 0x1100 else 0.58 for letter in text) * size
    x, y = at
    boxes = [
        (x - wide / 2, y - away - 3 - size), (x - wide / 2, y + away + 3),
        (x + away + 4, y - size / 2), (x - away - 4 - wide, y - size / 2),
    ]  # fmt: skip
    free = [each for each in boxes if _free((*each, wide, size), taken, written)]
    left, top = (free or boxes)[0]
    written.append((left, top, wide, size))
    return words(text, left, top + size * 0.85, size, **attributes)


def _free(box: Box, taken: list[tuple[Point, float]], written: list[Box]) -> bool:
    left, top, wide, high = box
    for (x, y), size in taken:
        near = min(max(x, left), left + wide), min(max(y, top), top + high)
        if hypot(x - near[0], y - near[1]) < size + 2:
            return False
    return not any(
        left < x + width and x < left + wide and top < y + height and y < top + high
        for x, y, width, height in written
    )


def outline(points: list[Point], margin: float) -> list[Point]:
    """The convex hull of points with a margin around it (Andrew 1979, monotone chain)."""
    rounded = sorted(
        {
            (round(x + margin * cos(k * pi / 8), 1), round(y + margin * sin(k * pi / 8), 1))
            for x, y in points for k in range(16)
        }
    )  # fmt: skip
    return _half(rounded) + _half(rounded[::-1])


def _half(points: list[Point]) -> list[Point]:
    """One side of a hull, without its last point."""
    side: list[Point] = []
    for point in points:
        while len(side) > 1 and _turn(side[-2], side[-1], point) <= 0:
            side.pop()
        side.append(point)
    return side[:-1]


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
