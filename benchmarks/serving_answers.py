"""How long a whole answer takes, from the embedded photo to ranked sightings with their coverage.

`serving_measures` times the comparison of vectors alone; here is all that `reid search` does by default, over
all districts and days, and with what else a caller may know. Embedding the photo is left out: that takes as
long whatever the size of the archive.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.gallery import Ask
from benchmarks.serving_measures import Effort, open_engine
from search.description import read_description
from search.engine import Engine
from search.last_seen import LastSeen
from search.query import Query
from search.request import Request
from search.sightings import find_sightings

WANTED_MS = 150.0
"""Of a whole answer over a million vectors, warm, on two cores."""
_VECTORS = 1_000_000
_TOP = 20
_QUALITY = 0.8
_HOUR_MS = 3_600_000


def answers(home: Path, asks: Sequence[Ask], effort: Effort) -> dict[str, dict[str, float]]:
    """Milliseconds of a whole answer, by what was asked.

    Args:
        home: the archive. asks: questions for the city and the month. effort: how long is measured.
    """
    engine = open_engine(home)
    engine.warm()
    by_kind = [_requests(engine, one) for one in asks]
    return {kind: _timed(engine, [each[kind] for each in by_kind], effort.rounds) for kind in by_kind[0]}


def _requests(engine: Engine, one: Ask) -> dict[str, Request]:
    """One question with ever more that is known."""
    query = Query(
        "photo.jpg", np.zeros((1, 1, 3), np.uint8), (), (0.0, 0.0, 1.0, 1.0), one.photo[None], _QUALITY, ()
    )
    camera = next(each for each in engine.view().snapshot.cameras.values() if each.latitude is not None)
    assert camera.latitude is not None
    assert camera.longitude is not None
    seen = LastSeen("reported", camera.latitude, camera.longitude, one.since_ms + 12 * _HOUR_MS, "elder")
    photo = Request((query,), one.filters(), _TOP)
    said = replace(photo, description=read_description(["red"], ["black"], ["elder"]))
    return {
        "photo": photo,
        "photo, place and time, route": replace(photo, last_seen=seen, route=True),
        "photo, description": said,
        "photo of other clothes, description": replace(said, clothes_changed=True),
        "description alone": replace(said, queries=()),
        "everything": replace(said, clothes_changed=True, last_seen=seen, route=True),
    }


def _timed(engine: Engine, requests: Sequence[Request], rounds: int) -> dict[str, float]:
    taken, parts = [], []
    for number in range(rounds + 1):
        for request in requests:
            begun = time.perf_counter()
            result = find_sightings(engine, request)
            if number:  # the first time, checksums are compared
                taken.append((time.perf_counter() - begun) * 1000)
                parts.append(result.timing_ms)
    p50, p95 = np.quantile(taken, [0.5, 0.95])
    steps = {f"{step}_ms": float(np.median([each[step] for each in parts])) for step in parts[0]}
    return {"p50_ms": float(p50), "p95_ms": float(p95), **steps}


def verdict(vectors: int, row: dict[str, float]) -> str:
    """What the target says, where it speaks of such an archive."""
    if vectors != _VECTORS:
        return ""
    return f"{WANTED_MS:g} {'yes' if row['p95_ms'] <= WANTED_MS else 'no'}"
