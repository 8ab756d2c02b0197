"""Draws where: cameras in scope, sightings, the route, where the person was last seen. Needs no network.

Owns the projection and the layout. Outlines are those of each district's cameras, not boundaries, and the
drawing says so. Computes nothing that is not in the result.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import cos, hypot, radians

from indexer.districts import Districts
from search.drawing import (
    INK,
    LINE,
    MARK,
    SOFT,
    WARN,
    Box,
    Point,
    cross,
    drawing,
    element,
    label,
    mark,
    outline,
    radius,
    spread,
    words,
)  # fmt: skip
from search.last_seen import Place, place_of
from search.route import LEAST, Sureness
from search.route_text import passed
from search.sightings import SearchResult, Sighting
from search.travel import walking_m
from search.wording import chance, local_time

RINGS_MIN = (15, 30, 60)

WIDTH = 960.0
"""Of a map, pixels."""
_LEAST_HEIGHT, _MOST_HEIGHT = 360.0, 560.0
_LEGEND = 84.0  # height of what is below the map
_DEGREE_M = 111_195.0  # of latitude
_SMALLEST_M, _ROOM = 1200.0, 0.12  # of the picture; around what is shown
_MARGIN = 14.0  # around a district's cameras
_BARS_M = [step * 10**power for power in range(1, 6) for step in (1, 2, 5)]
_LONGEST_BAR = 180.0
_TINTS = ("#e8f0e4", "#e6ecf5", "#f5efe2", "#f1e8f0", "#e4f0f0")
_DASHES: dict[Sureness, str | None] = {"confirmed": None, "clear": None, "likely": "9 4", "open": "3 4"}


@dataclass(frozen=True)
class Frame:
    """An equirectangular projection around the middle of what is shown.

    Attributes:
        middle: its place. scale: pixels a metre. height: pixels.
    """

    middle: Place
    scale: float
    height: float

    @classmethod
    def around(cls, places: list[Place]) -> Frame:
        """That holds all of these, at least one."""
        latitudes, longitudes = zip(*places, strict=True)
        middle = (min(latitudes) + max(latitudes)) / 2, (min(longitudes) + max(longitudes)) / 2
        high = (max(latitudes) - min(latitudes)) * _DEGREE_M
        wide = (max(longitudes) - min(longitudes)) * _DEGREE_M * cos(radians(middle[0]))
        high, wide = (max(length * (1 + 2 * _ROOM), _SMALLEST_M) for length in (high, wide))
        height = min(max(WIDTH * high / wide, _LEAST_HEIGHT), _MOST_HEIGHT)
        return cls(middle, min(WIDTH / wide, height / high), height)

    def __call__(self, place: Place) -> Point:
        """Pixels, y downwards."""
        east = (place[1] - self.middle[1]) * _DEGREE_M * cos(radians(self.middle[0]))
        north = (place[0] - self.middle[0]) * _DEGREE_M
        return WIDTH / 2 + east * self.scale, self.height / 2 - north * self.scale

    def place(self, point: Point) -> Place:
        """Where a point of the picture is."""
        east, north = (point[0] - WIDTH / 2) / self.scale, (self.height / 2 - point[1]) / self.scale
        longitude = self.middle[1] + east / (_DEGREE_M * cos(radians(self.middle[0])))
        return self.middle[0] + north / _DEGREE_M, longitude

    def holds(self, point: Point) -> bool:
        """Is it within the picture?"""
        return 0 <= point[0] <= WIDTH and 0 <= point[1] <= self.height


def draw_map(result: SearchResult, districts: Districts) -> str:
    """The map as one SVG element; empty when no place is known."""
    seen = result.request.last_seen
    on_route = [sighting for _, sighting in passed(result)]
    chosen = [each for each in result.sightings if _wanted(each) or each in on_route]
    places = [each.place for each in chosen if each.place] + ([seen.at_place] if seen else [])
    places = places or [place for place in map(place_of, result.cameras) if place]
    if not places:
        return ""
    frame = Frame.around(places)
    shown = [each for each in result.sightings if each.place and frame.holds(frame(each.place))]
    taken = [(frame(seen.at_place), 9.0)] if seen else []
    middles = [(frame(each.place), radius(each.probability)) for each in shown if each.place]
    spots = dict(zip((each.record.id for each in shown), spread(middles, taken), strict=True))
    arrows = _arrows(_chain(result, frame, spots))
    areas, names = _districts(result, districts, frame)
    inside = [
        element("rect", width=WIDTH, height=frame.height, fill="#fff"),
        *areas, *_rings(result, frame), *names,
        *_route(arrows), *_marks(shown, frame, spots, {each.record.id for each in on_route}),
        *_labels(result, frame, shown, spots, [end for _, end, _ in arrows]), _scale(frame), _north(),
    ]  # fmt: skip
    clip = element("clipPath", element("rect", width=WIDTH, height=frame.height), id="reid-map")
    content = [
        element("defs", clip, _arrow()),
        element("g", *inside, clip_path="url(#reid-map)"),
        element("rect", x=0.5, y=0.5, width=WIDTH - 1, height=frame.height - 1, fill="none", stroke=LINE),
        *_legend(result, shown, frame.height),
    ]
    title = "Map of sightings · 목격 후보 지도"
    return drawing(content, WIDTH, frame.height + _LEGEND, title, _description(shown, result))


def _wanted(sighting: Sighting) -> bool:
    return sighting.probability is None or sighting.probability >= LEAST


def _districts(result: SearchResult, districts: Districts, frame: Frame) -> tuple[list[str], list[str]]:
    """An area for each district with a dot for each camera; and their names."""
    points: dict[str, list[Point]] = defaultdict(list)
    for camera in result.cameras:
        place = place_of(camera)
        if place:
            points[camera.district].append(frame(place))
    areas, names = [], []
    for number, (slug, those) in enumerate(sorted(points.items())):
        edge = outline(those, _MARGIN)
        path = "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in edge) + "Z"
        tint = _TINTS[number % len(_TINTS)]
        areas.append(
            element("path", d=path, fill=tint, fill_opacity=0.8, stroke=LINE, stroke_dasharray="2 3")
        )
        within = [point for point in those if frame.holds(point)]
        if within:
            x = sum(point[0] for point in within) / len(within)
            top = max(min(point[1] for point in within) - _MARGIN - 3, 14)
            district = districts.find(slug)
            name = f"{district.name_ko} {district.name_en}"
            names.append(words(name, min(max(x, 70), WIDTH - 70), top, 12, fill=SOFT, text_anchor="middle"))
    dots = {(round(x), round(y)) for those in points.values() for x, y in those if frame.holds((x, y))}
    path = "".join(f"M{x} {y}h0" for x, y in sorted(dots))
    cameras = element("path", d=path or "M0 0", stroke="#78828e", stroke_width=4, stroke_linecap="round")
    return [*areas, cameras], names


def _rings(result: SearchResult, frame: Frame) -> list[str]:
    """How far somebody walks from where the person was last seen."""
    seen = result.request.last_seen
    if seen is None:
        return []
    x, y = frame(seen.at_place)
    drawn = []
    for minutes in RINGS_MIN:
        size = walking_m(minutes * 60.0, seen.age) * frame.scale
        drawn.append(
            element("circle", cx=x, cy=y, r=size, fill="none", stroke=WARN, stroke_width=1.2,
                    stroke_dasharray="6 5")
        )  # fmt: skip
        aside = size * 0.71  # to the south-west, for names of districts stand above them
        drawn.append(words(f"{minutes} min 분", x - aside, y + aside, 11, fill=WARN, text_anchor="middle"))
    return drawn


def _chain(
    result: SearchResult, frame: Frame, spots: dict[str, Point]
) -> list[tuple[Point, float, Sureness]]:
    """What of the route can be drawn: middle and size of each disc, and how sure the hop to it is."""
    seen, route = result.request.last_seen, result.route
    chain: list[tuple[Point, float, Sureness]] = [
        (spots[hop.id], radius(sighting.probability) + 5, hop.sureness)
        for hop, sighting in passed(result)
        if hop.id in spots
    ]
    if seen and route:
        before = sum(hop.id in spots for hop in route.hops[: route.seen_before])
        chain.insert(before, (frame(seen.at_place), 11.0, "confirmed"))
    return chain


def _arrows(chain: list[tuple[Point, float, Sureness]]) -> list[tuple[Point, Point, Sureness]]:
    """From the rim of each disc to that of the next, where there is room for it."""
    arrows = []
    for (begin, away, _), (end, short, sureness) in pairwise(chain):
        long = hypot(end[0] - begin[0], end[1] - begin[1])
        if long > away + short:
            x, y = (end[0] - begin[0]) / long, (end[1] - begin[1]) / long
            leaves = begin[0] + x * away, begin[1] + y * away
            arrows.append((leaves, (end[0] - x * short, end[1] - y * short), sureness))
    return arrows


def _route(arrows: list[tuple[Point, Point, Sureness]]) -> list[str]:
    """An arrow for each hop whose place is known."""
    drawn = []
    for begin, end, sureness in arrows:
        path = f"M{begin[0]:.1f} {begin[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"
        look = {"stroke_dasharray": _DASHES[sureness], "marker_end": "url(#reid-arrow)"}
        drawn.append(element("path", d=path, stroke="#fff", stroke_width=5.5))
        drawn.append(element("path", d=path, stroke=MARK, stroke_width=2.5, **look))
    return drawn


def _marks(shown: list[Sighting], frame: Frame, spots: dict[str, Point], on_route: set[str]) -> list[str]:
    """A disc for each sighting, with a thread to its camera; the best on top."""
    drawn = []
    for each in reversed(shown):
        assert each.place is not None
        at, true = spots[each.record.id], frame(each.place)
        if hypot(at[0] - true[0], at[1] - true[1]) > radius(each.probability):
            thread = f"M{at[0]:.1f} {at[1]:.1f}L{true[0]:.1f} {true[1]:.1f}"
            drawn.append(element("path", d=thread, stroke=SOFT, stroke_width=0.8))
        label = (
            f"{each.rank}: {each.camera_name}, {local_time(each.record.best_ms)}, {chance(each.probability)}"
        )
        drawn.append(mark(each.rank, at, radius(each.probability), each.record.id in on_route, label))
    return drawn


def _labels(
    result: SearchResult, frame: Frame, shown: list[Sighting], spots: dict[str, Point], tips: list[Point]
) -> list[str]:
    """The times of the route, and the cross where the person was last seen."""
    seen = result.request.last_seen
    discs = [(spots[each.record.id], radius(each.probability)) for each in shown]
    discs += [(tip, 5.0) for tip in tips]
    written: list[Box] = []
    drawn = []
    if seen:
        at = frame(seen.at_place)
        discs.append((at, 9.0))
        drawn = [
            cross(at),
            label(
                f"last seen 마지막 목격 {local_time(seen.at_ms)[11:16]}",
                at,
                12,
                12,
                discs,
                written,
                fill=WARN,
            ),
        ]
    for hop, each in passed(result):
        if hop.id in spots:
            time, away = local_time(each.record.best_ms)[11:16], radius(each.probability) + 2.5
            drawn.append(label(time, spots[hop.id], away, 12, discs, written, fill=MARK, font_weight="bold"))
    return drawn


def _arrow() -> str:
    head = element("path", d="M0 0L9 4L0 8Z", fill=MARK)
    return element(
        "marker", head, id="reid-arrow", viewBox="0 0 9 8", refX=8, refY=4, markerWidth=11, markerHeight=10,
        markerUnits="userSpaceOnUse", orient="auto",
    )  # fmt: skip


def _scale(frame: Frame) -> str:
    """A bar of a round length."""
    metres = max((long for long in _BARS_M if long * frame.scale < _LONGEST_BAR), default=_BARS_M[0])
    long, x, y = metres * frame.scale, 16.0, frame.height - 14
    bar = element("path", d=f"M{x} {y - 6:.1f}v6h{long:.1f}v-6", fill="none", stroke=INK, stroke_width=1.5)
    label = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres} m"
    return bar + words(label, x + long / 2, y - 6, 11, text_anchor="middle")


def _north() -> str:
    x, y = WIDTH - 24, 18.0
    needle = element("path", d=f"M{x} {y}l7 20l-7 -5l-7 5Z", fill=INK, stroke="#fff", stroke_width=1)
    return needle + words("N 북", x, y + 34, 11, text_anchor="middle")


def _legend(result: SearchResult, shown: list[Sighting], top: float) -> list[str]:
    """What the signs mean, and what is not drawn."""
    rings = result.request.last_seen is not None
    lines = [
        "Numbers: ranks, larger is more probable, full is on the suggested route (solid: clear, dashed:"
        " likely, dotted: open). Grey dots: cameras." + (" Rings: reached on foot." if rings else ""),
        "숫자: 순위 (클수록 확률 높음), 채운 원: 추정 경로 (실선: 뚜렷함, 파선: 유력, 점선: 불확실), 회색 점:"
        " 카메라." + (" 원: 도보 도달 범위." if rings else ""),
        "Areas are where a district's cameras are, not its boundaries."
        " 영역은 구 경계가 아니라 카메라 분포 범위입니다.",
    ]
    left = [each for each in result.sightings if each not in shown]
    if left:
        ranks = ", ".join(str(each.rank) for each in left)
        lines.append(f"Not on this map (place unknown or further away) 지도에 없음: {ranks}")
    return [
        element("text", escape(line), x=2, y=top + 18 + 19 * row, font_size=11.5, fill=SOFT)
        for row, line in enumerate(lines)
    ]


def _description(shown: list[Sighting], result: SearchResult) -> str:
    route = ", then ".join(f"rank {each.rank} at {each.camera_name}" for _, each in passed(result))
    return f"{len(shown)} sightings by rank." + (f" Suggested route: {route}." if route else "")
