"""Shows the outcome of `songpa99`: tables, the curve of found at k, and a contact sheet of the failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import found
from benchmarks.found import Case
from indexer.video import open_clip
from reid.boxes import pad
from reid.durable import write_file
from reid.errors import FootageError
from reid.images import Picture, crop, decode_photo, encode_jpeg, fit_within, read_photo, write_text
from search.demo.truth import Truth
from search.sightings import SearchResult

_TILE = (112, 208)  # width, height in pixels
_EDGE = 4
_CAPTION = 26
_FIRST = 5
_MOST_ROWS = 24
_GROUND, _RIGHT, _ALIKE, _TRUTH = (40, 40, 40), (80, 180, 60), (40, 160, 240), (230, 230, 230)  # BGR


def print_tables(figures: Mapping[str, Any]) -> None:
    """What there is to say, for people."""
    console = Console()
    table = Table("", "people", *(f"at {k}" for k in found.KS), "bound", title="Found by one photo")
    table.add_row("all", *_cells(figures))
    before = ""
    for row in figures["splits"]:
        if row["split"] != before:
            table.add_section()
        before = row["split"]
        table.add_row(f"{row['split']}: {row['group']}", *_cells(row))
    console.print(table)
    light = Table("light", "passages", "tracked", "in the first 20", title="Passages of the missing")
    for row in figures["passages_by_light"]:
        light.add_row(row["light"], *(str(row[name]) for name in ("passages", "tracked", "in_first_20")))
    console.print(light)
    answer, published = figures["answer_ms"], figures["published"]
    console.print(
        f"answer: median {answer['median']:.0f} ms, p95 {answer['p95']:.0f} ms, over"
        f" {figures['tracklets']} tracklets ({figures['tracklets_of_nobody']} of nobody)\n"
        f"missed at 20: {figures['missed_at_20_never_tracked']} never tracked,"
        f" {figures['missed_at_20_by_ranking']} by the ranking; a lookalike before the person:"
        f" {figures['lookalike_before_the_person']}\n"
        f"published: {published['found']} of {published['people']} ({published['what']}). Not the same"
        " measure: theirs counts people found in the real world, ours rankings in synthetic footage."
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [str(row["people"]), *(str(row["found_at"][str(k)]) for k in found.KS), str(row["bound"])]


def write_curve(path: Path, cases: Sequence[Case], published: str) -> Path:
    """Draw found at k over k as SVG.

    Raises:
        StorageError: the disk refuses.
    """
    left, top, width, height = 60, 40, 560, 320
    people, values = max(len(cases), 1), found.curve(cases)

    def x(k: float) -> float:
        return left + (k - 1) / (found.MOST - 1) * width

    def y(count: float) -> float:
        return top + height * (1 - count / people)

    points = " ".join(f"{x(k):.1f},{y(value):.1f}" for k, value in enumerate(values, start=1))
    bound = found.bound(cases)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {top + height + 90}"'
        ' font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="24" font-size="16">Missing people found in the first k sightings</text>',
        *(
            f'<line x1="{left}" x2="{left + width}" y1="{y(c):.1f}" y2="{y(c):.1f}" stroke="#ddd"/>'
            f'<text x="{left - 8}" y="{y(c) + 4:.1f}" text-anchor="end">{c:.0f}</text>'
            for c in np.linspace(0, people, 5).round()
        ),
        *(
            f'<text x="{x(k):.1f}" y="{top + height + 18}" text-anchor="middle">{k}</text>'
            for k in (1, 5, 10, 20, 30, 40, 50)
        ),
        f'<line x1="{left}" x2="{left + width}" y1="{y(bound):.1f}" y2="{y(bound):.1f}" stroke="#888"'
        ' stroke-dasharray="5 4"/>',
        f'<text x="{left + width}" y="{y(bound) - 6:.1f}" text-anchor="end" fill="#666">'
        f"tracked at all: {bound}</text>",
        f'<polyline points="{points}" fill="none" stroke="#c0392b" stroke-width="2.5"/>',
        *(
            f'<circle cx="{x(k):.1f}" cy="{y(values[k - 1]):.1f}" r="4" fill="#c0392b"/>'
            f'<text x="{x(k) + 6:.1f}" y="{y(values[k - 1]) + 16:.1f}">{values[k - 1]}</text>'
            for k in found.KS
        ),
        f'<text x="{left}" y="{top + height + 44}" fill="#666">{len(cases)} people, synthetic footage. Not'
        " the same measure as the only published outcome:</text>",
        f'<text x="{left}" y="{top + height + 62}" fill="#666">67 of 99, {published}.</text>',
        "</svg>",
    ]
    write_file(path.absolute(), "\n".join(lines).encode())
    return path


def write_failures(
    path: Path,
    truth: Truth,
    cases: Sequence[Case],
    results: Mapping[int, SearchResult],
    shows: Mapping[str, int | None],
) -> Path | None:
    """Draw a row for each person of `results`: photo, first five sightings, truth.

    Frames: green shows the person, amber a lookalike, white the truth's best crop.

    Returns:
        None when there is nothing to draw.

    Raises:
        StorageError: the disk refuses.
    """
    missed = [case for case in cases if case.person in results][:_MOST_ROWS]
    if not missed:
        return None
    rows = [_failure(truth, case, results[case.person], shows) for case in missed]
    write_file(path.absolute(), encode_jpeg(np.concatenate(rows)))
    return path


def _failure(truth: Truth, case: Case, result: SearchResult, shows: Mapping[str, int | None]) -> Picture:
    alike = {row.person for row in truth.people if row.looks_like == case.person}
    tiles = [_tile(read_photo(Path(result.request.queries[0].photo)), _GROUND)]
    for sighting in result.sightings[:_FIRST]:
        who = shows[sighting.record.id]
        edge = _RIGHT if who == case.person else _ALIKE if who in alike else _GROUND
        tiles.append(_tile(decode_photo(sighting.thumbnail, sighting.record.id), edge))
    while len(tiles) <= _FIRST:
        tiles.append(_tile(None, _GROUND))
    tiles.append(_tile(_true_crop(truth, case), _TRUTH))
    row = np.concatenate(tiles, axis=1)
    caption: Picture = np.full((_CAPTION, row.shape[1], 3), _GROUND, np.uint8)
    write_text(caption, _caption(case), 6, 7, 11)
    return np.concatenate([caption, row])


def _caption(case: Case) -> str:
    where = f"{case.best.height_px:.0f} px, {case.best.light}" if case.best else "never to be seen"
    rank = (
        f"first at {case.ranks[0]}"
        if case.ranks
        else "not in the first 50"
        if case.tracked
        else "never tracked"
    )
    clothes = ", other clothes" if case.clothes_change else ""
    return f"{case.person}: {case.age_group}, {case.photo_kind} photo{clothes}; best passage {where}; {rank}"


def _true_crop(truth: Truth, case: Case) -> Picture | None:
    """The person in the best frame of the best passage."""
    if case.best is None:
        return None
    clip = truth.clips[case.best.clip]
    shown = truth.frame(clip.clip, case.best.frame)
    row = int(np.flatnonzero(shown.people == case.person)[0])
    try:
        with open_clip(truth.files.clip(clip.clip)) as opened:
            picture = opened.frame_at(case.best.frame / clip.frame_rate).picture
    except FootageError:
        return None
    return crop(picture, pad(shown.boxes[row : row + 1], 0.06)[0])


def _tile(picture: Picture | None, edge: tuple[int, int, int]) -> Picture:
    """(H, W, 3): the picture in the middle of a tile with an edge of this BGR colour."""
    width, height = _TILE
    tile: Picture = np.full((height, width, 3), edge, np.uint8)
    tile[_EDGE:-_EDGE, _EDGE:-_EDGE] = _GROUND
    if picture is not None:
        small = fit_within(picture, width - 2 * _EDGE, height - 2 * _EDGE)
        y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        tile[y : y + small.shape[0], x : x + small.shape[1]] = small
    return tile
