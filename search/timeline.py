"""Draws when: a strip of time with the sightings, the route above the line, all others below."""

from __future__ import annotations

from search.drawing import INK, LINE, MARK, SOFT, WARN, cross, drawing, element, mark, radius, words
from search.route_text import passed
from search.sightings import SearchResult, Sighting
from search.wording import chance, local_time

_WIDTH, _SIDE = 960.0, 40.0
_ROW = 36.0
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_STEPS = [
    *(_MINUTE * k for k in (1, 2, 5, 10, 15, 30)), *(_HOUR * k for k in (1, 2, 3, 6, 12)),
    *(_DAY * k for k in (1, 2, 7, 14, 28, 91)),
]  # fmt: skip
_MOST_TICKS = 10
_SEOUL_MS = 9 * _HOUR  # ahead of UTC, without summer time


def draw_timeline(result: SearchResult) -> str:
    """The strip as one SVG element; empty without sightings."""
    if not result.sightings:
        return ""
    seen = result.request.last_seen
    moments = [each.record.best_ms for each in result.sightings] + ([seen.at_ms] if seen else [])
    first, last = min(moments), max(moments)
    step = _step(first, last)
    begin, end = _floor(first, step), _floor(last, step) + step

    def across(moment: int) -> float:
        return _SIDE + (moment - begin) / (end - begin) * (_WIDTH - 2 * _SIDE)

    on_route = [sighting for _, sighting in passed(result)]
    others = [each for each in result.sightings if each not in on_route]
    upper = _rows(on_route, [across(each.record.best_ms) for each in on_route])
    lower = _rows(others, [across(each.record.best_ms) for each in others])
    line = 26.0 + _ROW * (max(upper, default=-1) + 1) + (16 if seen else 0)
    height = line + 44 + _ROW * (max(lower, default=-1) + 1)
    drawn = [element("path", d=f"M{_SIDE} {line:.1f}H{_WIDTH - _SIDE}", stroke=INK, stroke_width=1.5)]
    day = ""
    for moment in range(begin, end + 1, step):
        text = local_time(moment)
        x = across(moment)
        drawn.append(element("path", d=f"M{x:.1f} {line:.1f}v5", stroke=INK))
        if step < _DAY:
            drawn.append(words(text[11:16], x, line + 17, 11, fill=SOFT, text_anchor="middle"))
        if text[:10] != day:
            day = text[:10]
            drawn.append(words(day[5:], x, line + 30, 11, fill=INK, text_anchor="middle"))
    if seen:
        x = across(seen.at_ms)
        drawn.append(element("path", d=f"M{x:.1f} 24V{line:.1f}", stroke=WARN, stroke_dasharray="4 3"))
        drawn += [cross((x, line)), _label("last seen 마지막 목격", x, 16.0)]
    for each, row in zip(on_route, upper, strict=True):
        drawn += _hung(each, across(each.record.best_ms), line, line - 20 - _ROW * row, True)
    for each, row in zip(others, lower, strict=True):
        drawn += _hung(each, across(each.record.best_ms), line, line + 54 + _ROW * row, False)
    title = "Timeline of sightings · 목격 후보 시간표"
    description = "; ".join(_told(each) for each in sorted(result.sightings, key=lambda s: s.record.best_ms))
    return drawing(drawn, _WIDTH, height + 6, title, description)


def _step(first: int, last: int) -> int:
    """Between ticks, so that there are few enough of them."""
    return next(
        (step for step in _STEPS if (last - first) / step <= _MOST_TICKS - 1), (last - first) // 8 + 1
    )


def _floor(moment: int, step: int) -> int:
    """The last tick before a moment; ticks of days lie at midnight in Seoul."""
    return (moment + _SEOUL_MS) // step * step - _SEOUL_MS


def _rows(sightings: list[Sighting], xs: list[float]) -> list[int]:
    """In which row each disc has room, row 0 being nearest to the line."""
    rows: list[int] = []
    for place, each in enumerate(sightings):
        size = radius(each.probability) + 4
        taken = {
            rows[other] for other in range(place)
            if abs(xs[other] - xs[place]) < size + radius(sightings[other].probability)
        }  # fmt: skip
        rows.append(next(row for row in range(len(sightings) + 1) if row not in taken))
    return rows


def _hung(sighting: Sighting, x: float, line: float, y: float, on_route: bool) -> list[str]:
    """A disc with a thread to its moment."""
    thread = element("path", d=f"M{x:.1f} {line:.1f}V{y:.1f}", stroke=MARK if on_route else LINE)
    return [thread, mark(sighting.rank, (x, y), radius(sighting.probability), on_route, _told(sighting))]


def _label(text: str, x: float, y: float) -> str:
    return words(text, min(max(x, 70), _WIDTH - 70), y, 11, fill=WARN, text_anchor="middle")


def _told(sighting: Sighting) -> str:
    when, how = local_time(sighting.record.best_ms), chance(sighting.probability)
    return f"{sighting.rank}: {when}, {sighting.camera_name}, {how}"
