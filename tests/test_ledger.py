"""Rows of the ledger: what damage can make of a stored value is refused, not carried on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from indexer.ledger import ClipDone, ClipFailed, ClipWaiting, checked_row, unpack_done, unpack_unfinished

DONE = ClipDone(
    sha256="a" * 64, path="/a.mp4", district="songpa", camera="S-1", start_ms=1_700_000_000_000,
    end_ms=1_700_000_060_000, spans=((1_700_000_000_000, 1_700_000_060_000),), start_source="name",
    detector="d", embedder="e", frames_per_second=5, frames_read=300, frames_sampled=300, frames_corrupt=0,
    tracklets=2, vectors=3, warnings=(), seconds_taken=1.5,
)  # fmt: skip
FAILED = ClipFailed("/b.mp4", None, "S-1", None, "empty", "nothing in it")
WAITING = ClipWaiting("/c.mp4", "songpa", "S-1", 1_700_000_000_000, 1_700_000_060_000)


def test_whole_rows_come_back() -> None:
    assert unpack_done(DONE.pack()) == DONE
    assert unpack_unfinished(FAILED.pack()) == FAILED
    assert unpack_unfinished(WAITING.pack()) == WAITING


def test_a_failure_kept_before_lengths_were_told() -> None:
    before = {name: value for name, value in FAILED.pack().items() if name != "end_ms"}
    assert unpack_unfinished(before) == FAILED


@pytest.mark.parametrize(
    "changed",
    [
        {"start_ms": 1 << 60},  # one flipped bit, and no calendar has such a day
        {"end_ms": -5},
        {"start_ms": "soon"},
        {"start_ms": None},
        {"spans": ((1, 1 << 61),)},
        {"spans": ((1,),)},
        {"spans": 7},
        {"tracklets": "2"},
        {"seconds_taken": b"x"},
        {"path": 7},
        {"warnings": 3},
        {"unknown": 1},
    ],
    ids=str,
)
def test_damaged_rows_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        unpack_done({**DONE.pack(), **changed})


def test_a_failure_may_lack_what_is_unknown() -> None:
    assert checked_row(FAILED) is FAILED
    with pytest.raises(ValueError, match="district"):
        checked_row(replace(FAILED, district=4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="moment"):
        checked_row(replace(FAILED, start_ms=1 << 50))
