"""Songpa 99: a city with 99 missing people, one photo each; how many are found at 1, 5, 10, 20.

The city is rendered (`benchmarks.city`) or reused, indexed and searched by the entry points of the
commands, over all districts at once. Beside it stands the only published outcome of such a system: in
Songpa, in 2024, 67 of 99 missing people were found. That counts people whom officers found in the real
world with a system's help; this counts rankings in synthetic footage. The two are not the same measure.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import found, sheets, stages
from benchmarks.city.command import cores, find_renderer, make_city
from benchmarks.city.plan import make_plan
from benchmarks.city.settings import QUICK, CitySettings
from benchmarks.found import Best, Case
from indexer.cameras import read_cameras
from indexer.catalogue import Catalogue
from indexer.clips import Given, find_clips
from indexer.districts import Districts, load_districts
from indexer.index_report import IndexReport
from indexer.indexing import index_clips
from indexer.pipeline import Pipeline, PipelineOptions
from indexer.progress import shown_progress
from indexer.rewriting import open_entry
from indexer.settings import Settings, load_settings
from indexer.shard.files import ArchiveFiles
from reid.detector import load_detector
from reid.embedder import load_embedder
from reid.errors import InputError
from search.demo.files import CityFiles, clip_name
from search.demo.truth import MissingTruth, PassageTruth, Truth, read_truth
from search.engine import Engine
from search.filters import Filters, default_districts
from search.query import read_query
from search.request import Request
from search.sightings import SearchResult, find_sightings

PUBLISHED: dict[str, Any] = {
    "what": "Songpa-gu, Seoul, 2024: missing people found by officers with a search system",
    "found": 67,
    "people": 99,
    "comparable": False,
}
_FIRST_PAGE = 10
_FIRST_20 = 20


@dataclass(frozen=True)
class Indexed:
    """An archive of the city.

    Attributes:
        archive: where.
        pipeline: what it was indexed with.
        report: of the indexing.
        shows: whom each tracklet shows, by its id; None for nobody.
        tracked: clips in which a tracklet shows somebody, by person.
    """

    archive: ArchiveFiles
    pipeline: Pipeline
    report: IndexReport
    shows: dict[str, int | None]
    tracked: dict[int, set[str]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the benchmark."""
    parser.add_argument("--seed", type=int, help="of the city [7]")
    parser.add_argument("--city", type=Path, help="the city's folder; a whole one is reused as it is")
    parser.add_argument(
        "--home", type=Path, help="archive to index into, e.g. with other models [in the city]"
    )
    parser.add_argument("--workers", type=int, default=cores(), help="processes that render [one a core]")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make or reuse the city, index it, search for everybody, print and draw.

    Raises:
        ReidError: wrong settings, a folder that cannot be used, a missing extra, a disk that refuses.
    """
    truth = _city(options)
    indexed = _index(truth, ArchiveFiles((options.home or truth.files.root / "archive").absolute()))
    cases, results, queries = [], {}, {}
    for missing in truth.missing:
        result, answer_ms = _search(truth.files.root / missing.photo, indexed)
        queries[missing.person] = result.request.queries[0]
        case = judge(truth, missing, result, indexed, answer_ms)
        cases.append(case)
        if not case.found_at(_FIRST_PAGE):
            results[case.person] = result
    everywhere = _everywhere(indexed.archive)
    with Engine(indexed.archive, indexed.pipeline.embedder.spec) as engine:
        rankings = stages.measure(truth, engine, everywhere, queries, indexed.shows)
    figures = {**_figures(truth, indexed, cases), "stages": stages.figures(rankings)}
    sheets.print_tables(figures)
    stages.print_table(figures["stages"], Console())
    stem = options.json.with_suffix("") if options.json else truth.files.root / "songpa99"
    drawn = [
        sheets.write_curve(stem.with_name(f"{stem.name}-found.svg"), cases, PUBLISHED["what"]),
        sheets.write_failures(
            stem.with_name(f"{stem.name}-failures.jpg"), truth, cases, results, indexed.shows
        ),
    ]
    print("\n".join(f"drawn: {path}" for path in drawn if path))
    return figures


def _city(options: argparse.Namespace) -> Truth:
    """The city of `--city`, or the one in the cache folder; rendered as far as it is not there."""
    settings = QUICK if options.quick else CitySettings()
    if options.seed is not None:
        settings = replace(settings, seed=options.seed)
    folder = options.city or _cache_folder(settings)
    if not CityFiles(folder).truth.exists():
        return make_city(settings, folder, options.workers)
    truth = read_truth(folder)
    seed = truth.made_from["settings"]["seed"]
    if options.seed not in (None, seed):
        raise InputError(
            f"--seed {options.seed}: the city in {folder} is of seed {seed}; choose another --city"
        )
    return truth


def _cache_folder(settings: CitySettings) -> Path:
    """Where this city lies by default: another renderer makes another city."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reid-search"
    _, renderer = find_renderer()
    return cache / f"city-{make_plan(settings).digest[:8]}-{renderer[:8]}"


def _index(truth: Truth, archive: ArchiveFiles) -> Indexed:
    """What `reid init --cameras` and `reid index` do; then, whom each tracklet shows."""
    settings, districts = _settings(archive)
    with Catalogue(archive, "create") as catalogue:
        catalogue.put_cameras(read_cameras(truth.files.cameras, districts))
    pipeline = Pipeline(
        load_detector(settings.detector, archive.models, runtime=settings.runtime),
        load_embedder(settings.embedder, archive.models, settings.runtime),
        PipelineOptions(settings.frames_per_second, settings.whole_look_seconds),
    )
    requests = find_clips([truth.files.footage], Given(), districts)
    with shown_progress() as progress:
        report = index_clips(archive, requests, pipeline, progress)
    shows, tracked = whom_tracklets_show(archive, truth)
    return Indexed(archive, pipeline, report, shows, tracked)


def _settings(archive: ArchiveFiles) -> tuple[Settings, Districts]:
    settings = load_settings(archive)
    return settings, load_districts(Path(settings.districts) if settings.districts else None)


def whom_tracklets_show(
    archive: ArchiveFiles, truth: Truth
) -> tuple[dict[str, int | None], dict[int, set[str]]]:
    """Whom each tracklet's best crop shows, by its id; and the clips in which anybody is shown, by person."""
    shows: dict[str, int | None] = {}
    tracked: dict[int, set[str]] = defaultdict(set)
    with Catalogue(archive) as catalogue:
        entries = catalogue.snapshot().segments
    for entry in entries:
        segment = open_entry(archive, entry)
        for record, _ in segment.read(range(entry.tracklets)):
            person = truth.person_in(record)
            shows[record.id] = person
            if person is not None:
                tracked[person].add(clip_name(record.path))
    return shows, tracked


def _search(photo: Path, indexed: Indexed) -> tuple[SearchResult, float]:
    """What `reid search` does without options, models loaded; and its milliseconds."""
    begun = time.perf_counter()
    pipeline = indexed.pipeline
    query = read_query(photo, pipeline.detector, pipeline.embedder)
    filters = _everywhere(indexed.archive)
    with Engine(indexed.archive, pipeline.embedder.spec) as engine:
        result = find_sightings(engine, Request((query,), filters, found.MOST))
    return result, (time.perf_counter() - begun) * 1000


def _everywhere(archive: ArchiveFiles) -> Filters:
    """What is searched when nobody names a district."""
    with Catalogue(archive) as catalogue:
        holding = {district for district, _ in catalogue.snapshot().cameras}
    return Filters(default_districts(_settings(archive)[1], holding))


def judge(
    truth: Truth, missing: MissingTruth, result: SearchResult, indexed: Indexed, answer_ms: float
) -> Case:
    """One search against the truth."""
    person = missing.person
    passages = truth.passages_of(person)
    alike = {row.person for row in truth.people if row.looks_like == person}
    shown = [indexed.shows[sighting.record.id] for sighting in result.sightings]
    ranks = tuple(rank for rank, who in enumerate(shown, start=1) if who == person)
    clips = {clip_name(result.sightings[rank - 1].record.path) for rank in ranks if rank <= _FIRST_20}
    return Case(
        person=person,
        age_group=truth.person(person).age_group,
        photo_kind=missing.photo_kind,
        clothes_change=missing.clothes_change,
        lookalikes=len(alike),
        best=_best(truth, passages),
        passages=tuple(row.clip for row in passages),
        tracked=tuple(row.clip for row in passages if row.clip in indexed.tracked.get(person, ())),
        ranks=ranks,
        found_clips=tuple(row.clip for row in passages if row.clip in clips),
        lookalike_rank=next((rank for rank, who in enumerate(shown, start=1) if who in alike), None),
        answer_ms=answer_ms,
    )


def _best(truth: Truth, passages: tuple[PassageTruth, ...]) -> Best | None:
    if not passages:
        return None
    row = max(passages, key=lambda each: each.height_px * each.visibility)
    clip = truth.clips[row.clip]
    return Best(row.clip, row.best_frame, row.height_px, clip.light, clip.place)


def _figures(truth: Truth, indexed: Indexed, cases: list[Case]) -> dict[str, Any]:
    report, pipeline = indexed.report, indexed.pipeline
    answers = [case.answer_ms for case in cases]
    clips = list(truth.clips.values())
    return {
        "seed": truth.made_from["settings"]["seed"],
        "city": {
            "folder": str(truth.files.root), **truth.made_from, "clips": len(clips),
            "footage_s": sum(clip.frames / clip.frame_rate for clip in clips),
            "people_in_clips": sum(clip.people for clip in clips),
        },
        "models": {"detector": pipeline.detector.spec.name, "embedder": pipeline.embedder.spec.name},
        "indexing": {
            "done": len(report.done), "done_before": len(report.skipped), "failed": len(report.failed),
            "footage_s": report.footage_s, "seconds_taken": report.seconds_taken,
        },
        "tracklets": len(indexed.shows),
        "tracklets_of_nobody": sum(who is None for who in indexed.shows.values()),
        "published": PUBLISHED,
        **found.summary(cases),
        "answer_ms": {
            "median": float(np.median(answers)), "p95": float(np.percentile(answers, 95)),
        },
        "splits": found.splits(cases),
        "passages_by_light": _passages_by_light(truth, cases),
        "curve": found.curve(cases),
        "cases": [asdict(case) for case in cases],
    }  # fmt: skip


def _passages_by_light(truth: Truth, cases: list[Case]) -> list[dict[str, Any]]:
    """In each light, how many passages are tracked, and shown by the first 20 sightings."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for case in cases:
        for index, clips in enumerate((case.passages, case.tracked, case.found_clips)):
            for clip in clips:
                counts[truth.clips[clip].light][index] += 1
    return [
        {"light": light, "passages": count[0], "tracked": count[1], "in_first_20": count[2]}
        for light, count in sorted(counts.items())
    ]
