"""Asks again what a kept result was asked, and tells what changed: the ranking, and what it was made with.

Compares two results in their contract's form (docs/contracts.md), so that one of any machine will do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any

from reid.detector import Detector
from reid.embedder import Embedder
from reid.errors import InputError
from search.asked import Asked, request_from_json
from search.judged import Feedback, Judged
from search.query import read_query
from search.request import Request

TOLERANCE = 1e-4
"""Scores that differ by no more are the same: results keep four digits."""
_MOST_BYTES = 200_000_000
_SHOWN = 4  # names in a line


@dataclass(frozen=True)
class Change:
    """Something that is not as it was.

    Attributes:
        what: `photo`, `model`, `code_version`, `calibration`, `settings`, `archive`, `segments`, `clips`,
            `plan` or `damaged`.
        message: in words.
        then, now: the values, as far as they are short.
    """

    what: str
    message: str
    then: Any = None
    now: Any = None


@dataclass(frozen=True)
class Moved:
    """A sighting whose place or score is another.

    Attributes:
        id: of the tracklet.
        rank_then, rank_now: from 1; None where it is not in the list.
        score_then, score_now: cosines, without a photo the weight of all evidence; None where it is not in
            the list.
    """

    id: str
    rank_then: int | None
    rank_now: int | None
    score_then: float | None
    score_now: float | None


@dataclass(frozen=True)
class Replay:
    """A result and what it is today.

    Attributes:
        ranking: sightings that differ, in the order of then; empty: the same ranking.
        changes: of what it is made with; they need not change the ranking.
    """

    ranking: tuple[Moved, ...]
    changes: tuple[Change, ...]

    @property
    def is_same(self) -> bool:
        """The same tracklets in the same order with the same scores?"""
        return not self.ranking

    def lines(self) -> list[str]:
        """In words, the ranking first."""
        lines = [_moved(each) for each in self.ranking]
        lines = ["The ranking is not the same:", *lines] if lines else ["The same ranking."]
        if self.changes:
            lines.append("What changed:" if self.ranking else "Although this changed:")
            lines += [f"  {change.what}: {change.message}" for change in self.changes]
        elif self.ranking:
            lines.append("Nothing that results keep has changed; please report this with both results.")
        return lines


def _moved(each: Moved) -> str:
    if each.rank_now is None:
        return f"  {each.id}: was rank {each.rank_then} (score {each.score_then:.4f}), is not in the list now"
    if each.rank_then is None:
        return f"  {each.id}: was not in the list, is rank {each.rank_now} (score {each.score_now:.4f})"
    return (
        f"  {each.id}: rank {each.rank_then} then, {each.rank_now} now; score {each.score_then:.4f} then,"
        f" {each.score_now:.4f} now"
    )


def read_result(path: Path) -> dict[str, Any]:
    """A result that `reid search --json` printed.

    Raises:
        InputError: no such file, or something else.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: expected a result of `reid search --json`, got a file far too large")
        result = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); keep results with: reid search PHOTO --json > FILE"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}: expected JSON; keep results with: reid search PHOTO --json > FILE"
        ) from None
    listed = result.get("sightings") if isinstance(result, dict) else None
    if not isinstance(listed, list) or not all(_is_sighting(each) for each in listed):
        raise InputError(f"{path}: expected a result of `reid search --json`, with sightings; got other JSON")
    return dict(result)


def _is_sighting(value: object) -> bool:
    return (
        isinstance(value, dict) and isinstance(value.get("id"), str)
        and isinstance(value.get("score"), (int, float, NoneType)) and "score" in value
    )  # fmt: skip


def asked_again(
    then: Mapping[str, Any], where: str, photos: Sequence[Path], detector: Detector, embedder: Embedder,
    recall: Callable[[Feedback], Sequence[Judged]] = lambda feedback: (),
) -> Request:  # fmt: skip
    """The request of a result, its photos read anew with the same part of each.

    Args:
        then: the result. where: its file, for messages.
        photos: where the photos lie now, in the order of the result; none: where they lay.
        detector, embedder: the models in use. recall: gives copies of judged sightings.

    Raises:
        InputError: the result cannot be asked again; another number of photos.
        PhotoError: a photo cannot be read.
    """
    asked: Asked = request_from_json(then.get("request"), where)
    if photos and len(photos) != len(asked.photos):
        raise InputError(
            f"--photo: the result was asked with {len(asked.photos)} photos, got {len(photos)}; give each, in"
            " its order"
        )
    queries = []
    for number, kept in enumerate(asked.photos):
        path = photos[number] if photos else Path(kept.photo)
        if not photos and not path.is_file():
            raise InputError(f"photo {path} is not there any more; say where it lies now with --photo PATH")
        queries.append(read_query(path, detector, embedder, box=kept.person_box))
    request = asked.request(queries, recall(asked.feedback))
    # What the planner chooses depends on the machine's speed; a result that was exact is made exactly.
    return replace(request, exact=request.exact or then.get("plan") == "exact")


def compare(then: Mapping[str, Any], now: Mapping[str, Any]) -> Replay:
    """What differs between two results of the same request.

    Args:
        then, now: as `search.report.to_json` gives them; `then` perhaps of another release.
    """
    ranking = tuple(_ranking(then["sightings"], now["sightings"]))
    changes = tuple(_changes(then, now))
    return Replay(ranking, changes or tuple(_unexplained(then, now) if ranking else ()))


def _ranking(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[Moved]:
    before = {each["id"]: (rank, _score(each)) for rank, each in enumerate(then, 1)}
    after = {each["id"]: (rank, _score(each)) for rank, each in enumerate(now, 1)}
    for name in dict.fromkeys([*before, *after]):
        rank_then, score_then = before.get(name, (None, None))
        rank_now, score_now = after.get(name, (None, None))
        if (
            rank_then != rank_now or score_then is None or score_now is None
            or abs(score_then - score_now) > TOLERANCE + 1e-9
        ):  # fmt: skip
            yield Moved(name, rank_then, rank_now, score_then, score_now)


def _score(sighting: Mapping[str, Any]) -> float:
    """The cosine; without a photo the weight of all evidence."""
    score = sighting["score"]
    return float(sum(_part(sighting, "evidence").values()) if score is None else score)


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    yield from _photos(_part(then, "request").get("photos"), _part(now, "request").get("photos"))
    if then.get("model") != now.get("model"):
        names = [_part(_part(each, "settings"), "embedder").get("name", "?") for each in (then, now)]
        yield Change(
            "model", f"another embedder: {names[0]} then, {names[1]} now", then.get("model"), now.get("model")
        )
    yield from _values("code_version", "the code", then, now, ("code_version",))
    before, after = _part(then, "settings"), _part(now, "settings")
    yield from _values("calibration", "the calibration", before, after, ("calibration",))
    yield from _values(
        "settings", "the setting", before, after, ("codebook", "code_memory_mb", "libraries", "processor")
    )
    yield from _values("plan", "how vectors were compared", then, now, ("plan",))
    before, after = _part(then, "archive"), _part(now, "archive")
    counts = [(each.get("people"), each.get("cameras")) for each in (before, after)]
    if counts[0] != counts[1]:
        told = [f"{people} people before {cameras} cameras" for people, cameras in counts]
        yield Change(
            "archive", "the cameras' means, which move every score a little, are of other people:"
            f" {told[0]} then, {told[1]} now",
        )  # fmt: skip
    yield from _values("archive", "erasures in the archive", before, after, ("erasures",))
    yield from _shards(before.get("shards"), after.get("shards"))
    yield from _damaged(then.get("damaged"), now.get("damaged"))


def _unexplained(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """The archive changed, though nothing of it that results keep."""
    versions = [_part(each, "archive").get("catalogue_version") for each in (then, now)]
    if versions[0] != versions[1]:
        yield Change(
            "archive", "something else in the archive, such as a camera's place or clock: the catalogue was"
            f" version {versions[0]} then, is {versions[1]} now", *versions,
        )  # fmt: skip


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _values(
    what: str, title: str, then: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str]
) -> Iterator[Change]:
    for name in names:
        if then.get(name) != now.get(name):
            label = title if len(names) == 1 else f"{title} {name}"
            yield Change(
                what, f"{label}: {_told(then.get(name))} then, {_told(now.get(name))} now", then.get(name),
                now.get(name),
            )  # fmt: skip


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "none"
    text = "none" if value is None else str(value)
    return text if len(text) < 40 else text[:12] + "…"


def _photos(then: object, now: object) -> Iterator[Change]:
    for before, after in zip(_rows(then), _rows(now), strict=False):
        old, new = before.get("sha256"), after.get("sha256")
        if old != new:
            yield Change(
                "photo", f"another photo: {before.get('photo')} had sha256 {_told(old)},"
                f" {after.get('photo')} has {_told(new)}", old, new,
            )  # fmt: skip


def _shards(then: object, now: object) -> Iterator[Change]:
    """What is gone, new or kept otherwise, by district and day."""
    before = {(str(each.get("district")), str(each.get("day"))): each for each in _rows(then)}
    after = {(str(each.get("district")), str(each.get("day"))): each for each in _rows(now)}
    for key in sorted(before.keys() | after.keys()):
        name, old, new = "/".join(key), before.get(key), after.get(key)
        if old is None or new is None:
            shown = old or new or {}
            state = "new" if old is None else "gone (expired, erased, damaged or moved)"
            yield Change(
                "clips", f"{name}: {state}: {shown.get('tracklets')} tracklets of {shown.get('clips')} clips",
                None if old is None else shown.get("tracklets"),
                None if new is None else shown.get("tracklets"),
            )  # fmt: skip
            continue
        counts = [each.get("tracklets") for each in (old, new)]
        if old.get("clips_sum") != new.get("clips_sum"):
            yield Change(
                "clips", f"{name}: other clips: {old.get('clips')} with {counts[0]} tracklets then,"
                f" {new.get('clips')} with {counts[1]} now", *counts,
            )  # fmt: skip
        elif counts[0] != counts[1]:
            yield Change(
                "clips", f"{name}: of the same clips {counts[0]} tracklets then, {counts[1]} now (erased, or"
                " indexed again)", *counts,
            )  # fmt: skip
        elif _part(old, "segments") != _part(new, "segments"):
            names = [_some(_part(each, "segments")) for each in (old, new)]
            yield Change(
                "segments", f"{name}: the same {counts[0]} tracklets of the same clips, written anew (merged,"
                f" coded or indexed again): segments {names[0]} then, {names[1]} now",
            )  # fmt: skip


def _some(names: Mapping[str, Any]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _damaged(then: object, now: object) -> Iterator[Change]:
    before = {str(each.get("segment")): each for each in _rows(then)}
    after = {str(each.get("segment")): each for each in _rows(now)}
    for name in sorted(before.keys() ^ after.keys()):
        told = "could not be read then" if name in before else f"cannot be read: {after[name].get('reason')}"
        yield Change("damaged", f"segment {name} {told}", before.get(name), after.get(name))
