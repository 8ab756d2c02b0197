"""Renders a planned city: every clip and photo that is not there yet, spread over processes.

Owns what makes a run safe to kill and to go on: the folder belongs to one plan, one run holds its lock,
units are done entirely or not at all (`units.py`), and the city's `truth.json` comes last.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict
from multiprocessing.connection import wait as wait_for
from typing import Any

from benchmarks.city.clips import ClipPlan
from benchmarks.city.members import Missing
from benchmarks.city.plan import CityPlan
from benchmarks.city.settings import CitySettings
from benchmarks.city.studio import Studio
from benchmarks.city.units import (
    clip_is_done,
    leftovers,
    make_clip,
    make_photo,
    person_truth,
    read_clip_truth,
)
from reid.durable import make_folder, unfinished, write_file
from reid.errors import InputError, StorageError, storage_errors
from search.demo.files import CityFiles
from search.demo.truth import MissingTruth, Truth, truth_json

MakeStudio = Callable[[], Studio]
"""Called once in each process, so it must be found by its name: a function of a module."""
Unit = ClipPlan | Missing
Told = Callable[[int, int, str], None]
"""Is told units done, units in all, and the name of the last one."""

_AHEAD = 3  # units waiting for each process


def render_city(
    plan: CityPlan,
    files: CityFiles,
    make_studio: MakeStudio,
    renderer: str,
    workers: int = 1,
    told: Told | None = None,
) -> Truth:
    """Make everything of a city that is not there yet.

    Args:
        plan: which city.
        files: where; a folder that is absent, empty, or holds this very city.
        make_studio: the renderer.
        renderer: digest of the renderer; footage of two renderers is not mixed in one city.
        workers: processes.
        told: hears of progress.

    Raises:
        InputError: the folder holds another city, or something else.
        StorageError: the disk refuses, another run is at work there, or a process was killed.
        KeyboardInterrupt: when interrupted; what was done is kept.
    """
    claim_folder(plan, files, renderer)
    with _locked(files):
        with storage_errors(files.root):
            for path in leftovers(files):
                path.unlink()
        write_file(files.cameras, _cameras_csv(plan).encode("utf-8"))
        units = _to_do(plan, files)
        total = len(plan.clips) + len(plan.missing)
        with closing(_work(units, files, plan.settings, make_studio, workers)) as names:
            for done, name in enumerate(names, start=1):
                if told:
                    told(total - len(units) + done, total, name)
        truth = _gather(plan, files, make_studio(), renderer)
        write_file(files.truth, (json.dumps(truth_json(truth), ensure_ascii=False) + "\n").encode())
    return truth


def claim_folder(plan: CityPlan, files: CityFiles, renderer: str) -> None:
    """Make the folder this city's, before anything is rendered.

    Raises:
        InputError: it holds another city, or something that is no city.
        StorageError: the disk refuses.
    """
    with storage_errors(files.root):
        if files.city.exists():
            _compare(plan, files, renderer)
            return
        begun = set(unfinished(files.root))  # by a run that was killed before its first file was whole
        if files.root.exists() and set(files.root.iterdir()) - begun:
            raise InputError(f"{files.root}: not empty and no city; choose another folder")
        make_folder(files.root)
    write_file(files.city, (json.dumps(_made_from(plan, renderer), indent=1) + "\n").encode())


def _made_from(plan: CityPlan, renderer: str) -> dict[str, Any]:
    return {"digest": plan.digest, "renderer": renderer, "settings": asdict(plan.settings)}


def _compare(plan: CityPlan, files: CityFiles, renderer: str) -> None:
    try:
        found = json.loads(files.city.read_text("utf-8"))
        digest, settings, made_by = str(found["digest"]), dict(found["settings"]), str(found["renderer"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{files.city}: not what was written; choose another folder or delete this one"
        ) from None
    if digest != plan.digest:
        wanted: dict[str, Any] = json.loads(json.dumps(asdict(plan.settings)))
        differences = [
            f"{name} {_short(settings.get(name))}, not {_short(value)}"
            for name, value in wanted.items()
            if settings.get(name) != value
        ]
        raise InputError(
            f"{files.root}: holds another city ({'; '.join(differences) or 'planned by another release'});"
            " give the same settings or choose another folder"
        )
    if made_by != renderer:
        raise InputError(
            f"{files.root}: begun with another version of the renderer; choose another folder, or delete this"
            " one to make it anew"
        )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@contextmanager
def _locked(files: CityFiles) -> Iterator[None]:
    with storage_errors(files.lock), files.lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{files.root}: another run renders this city; wait for it") from None
        yield


def _to_do(plan: CityPlan, files: CityFiles) -> list[Unit]:
    photos: list[Unit] = [each for each in plan.missing if not files.photo(each.member.id).exists()]
    return photos + [clip for clip in plan.clips if not clip_is_done(files, clip)]


def _work(
    units: Sequence[Unit], files: CityFiles, settings: CitySettings, make_studio: MakeStudio, workers: int
) -> Generator[str]:
    """Do all units, in this process or in others; yields the name of each when it is done."""
    if not units:
        return
    if workers == 1:
        studio = make_studio()
        for unit in units:
            yield _do(unit, files, settings, studio)
        return
    context = multiprocessing.get_context("spawn")  # a forked process would share locks of running threads
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, context, _start_worker, (files, settings, make_studio))
    try:
        yield from _spread(executor, units, workers * _AHEAD)
    except BrokenProcessPool:
        raise StorageError(
            f"{files.root}: a process of the renderer was killed, perhaps for lack of memory; run the same"
            " command with fewer --workers to go on"
        ) from None
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()  # what it was at is done anew by the next run


def _spread(executor: ProcessPoolExecutor, units: Sequence[Unit], ahead: int) -> Iterator[str]:
    """Keep the executor busy without queueing a day-long city at once."""
    waiting = iter(units)
    running: set[Future[str]] = set()
    while True:
        for unit in waiting:
            running.add(executor.submit(_do_here, unit))
            if len(running) >= ahead:
                break
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


_here: tuple[CityFiles, CitySettings, Studio] | None = None
"""What this process renders with; a process of the pool renders one city only."""


def _start_worker(files: CityFiles, settings: CitySettings, make_studio: MakeStudio) -> None:
    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here = files, settings, make_studio()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _do_here(unit: Unit) -> str:
    assert _here is not None
    return _do(unit, *_here)


def _do(unit: Unit, files: CityFiles, settings: CitySettings, studio: Studio) -> str:
    if isinstance(unit, Missing):
        make_photo(files, unit, studio)
        return files.photo(unit.member.id).name
    make_clip(files, unit, settings, studio)
    return unit.name


def _gather(plan: CityPlan, files: CityFiles, studio: Studio, renderer: str) -> Truth:
    """The city's truth from that of its clips."""
    read = [read_clip_truth(files, clip) for clip in plan.clips]
    members = [each.member for each in plan.missing] + list(plan.lookalikes)
    start = {clip.clip: clip.start for clip, _ in read}
    walked = [row for _, rows in read for row in rows]
    return Truth(
        files,
        _made_from(plan, renderer),
        tuple(person_truth(member, studio) for member in members),
        tuple(
            MissingTruth(
                each.member.id, each.home, str(files.photo(each.member.id).relative_to(files.root)),
                each.photo_kind, each.clothes_change,
            )
            for each in plan.missing
        ),
        {clip.clip: clip for clip, _ in read},
        tuple(sorted(walked, key=lambda row: (row.person, start[row.clip]))),
    )  # fmt: skip


def _cameras_csv(plan: CityPlan) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["camera", "name", "district", "latitude", "longitude", "clock_offset_s"])
    for site in plan.sites:
        camera = site.camera
        writer.writerow(
            [
                camera.id,
                camera.name,
                camera.district,
                camera.latitude,
                camera.longitude,
                camera.clock_offset_s,
            ]
        )
    return stream.getvalue()
