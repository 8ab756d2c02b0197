"""Results that can be asked again: what is kept of a request, and what changed since."""

import copy
import json
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from indexer.clips import ClipRequest
from indexer.compaction import compact
from indexer.erasure import erase_tracklet
from indexer.indexing import index_clips
from indexer.shard.files import ArchiveFiles
from reid.errors import InputError
from search.asked import request_from_json, request_to_json
from search.engine import Engine
from search.filters import Filters, Near
from search.plain import from_plain, to_plain
from search.provenance import code_version
from search.query import Query
from search.replay import Replay, asked_again, compare, read_result
from search.report import to_json
from search.request import Request
from search.sightings import find_sightings
from tests.canned import copy_of
from tests.test_search import START, made, query_for, red  # noqa: F401  fixtures
from tests.world import NOW, FakeDetector, FakeEmbedder, Walk, fake_pipeline, write_scene

SCOPE = Filters(("songpa", "nowon"))
Json = dict[str, Any]


def answer(archive: ArchiveFiles, request: Request) -> Json:
    with Engine(archive, FakeEmbedder().spec) as engine:
        return dict(json.loads(json.dumps(to_json(find_sightings(engine, request)))))


def replayed(archive: ArchiveFiles, then: Json, photos: tuple[Path, ...] = ()) -> Replay:
    request = asked_again(then, "result.json", photos, FakeDetector(), FakeEmbedder())  # type: ignore[arg-type]
    return compare(then, answer(archive, request))


@pytest.fixture
def then(made: ArchiveFiles, red: Query) -> Json:  # noqa: F811
    return answer(made, Request((red,), SCOPE))


def test_the_same_archive_gives_the_same_ranking(made: ArchiveFiles, then: Json) -> None:  # noqa: F811
    again = replayed(made, then)
    assert again.is_same
    assert again.changes == ()
    assert again.lines() == ["The same ranking."]


def test_a_search_is_deterministic(made: ArchiveFiles, red: Query) -> None:  # noqa: F811
    first, *others = (answer(made, Request((red,), SCOPE)) for _ in range(4))
    for other in others:
        for key in ("sightings", "request", "archive", "settings", "segments", "expected_right"):
            assert other[key] == first[key]


def test_a_result_says_what_it_was_made_with(then: Json) -> None:
    assert then["code_version"] == code_version()
    assert then["settings"]["embedder"]["sha256"] == then["model"]
    assert then["settings"]["detectors"] == [FakeDetector.spec.sha256]
    assert then["settings"]["libraries"]["numpy"] == np.__version__
    assert {name for each in then["archive"]["shards"] for name in each["segments"]} == set(then["segments"])
    assert all(len(seal) == 64 for each in then["archive"]["shards"] for seal in each["segments"].values())
    age = datetime.now(UTC) - datetime.fromisoformat(then["time"])
    assert timedelta(0) <= age < timedelta(hours=1)


def test_a_window_without_bounds_stays_what_it_was(
    made: ArchiveFiles,  # noqa: F811
    then: Json,
    tmp_path: Path,
) -> None:
    """Footage of a later hour is not in the replay, but moves the means of the cameras, and that is told."""
    archive = copy_of(made, tmp_path)
    clip = write_scene(tmp_path / "later.mp4", [Walk("red", 0, 29), Walk("yellow", 0, 20, 1)])
    index_clips(
        archive,
        [ClipRequest(clip, "songpa", "S-1", START + timedelta(hours=5))],
        fake_pipeline(),
        now=lambda: NOW,
    )
    again = replayed(archive, then)
    assert not [each for each in again.ranking if each.rank_then is None]
    assert "archive" in {change.what for change in again.changes}
    inside = [ClipRequest(clip, "songpa", "S-9", START + timedelta(minutes=1))]
    index_clips(archive, inside, fake_pipeline(), now=lambda: NOW, replace=True)
    again = replayed(archive, then)
    assert [each for each in again.ranking if each.rank_then is None]
    [change] = [change for change in again.changes if change.what == "clips"]
    assert change.message.startswith("songpa/2025-02-18: other clips: 2 with 3 tracklets then, 3 with 5 now")


def test_merged_days_give_the_same_ranking_and_say_so(
    made: ArchiveFiles,  # noqa: F811
    then: Json,
    tmp_path: Path,
) -> None:
    archive = copy_of(made, tmp_path)
    assert compact(archive).merged == 2
    again = replayed(archive, then)
    assert again.is_same
    assert [change.what for change in again.changes] == ["segments"]
    assert "the same 3 tracklets of the same clips, written anew" in again.changes[0].message
    assert again.lines()[0] == "The same ranking."


def test_an_erased_tracklet_is_missed(made: ArchiveFiles, then: Json, tmp_path: Path) -> None:  # noqa: F811
    archive = copy_of(made, tmp_path)
    gone = then["sightings"][0]["id"]
    erase_tracklet(archive, gone)
    again = replayed(archive, then)
    [lost] = [each for each in again.ranking if each.rank_now is None]
    assert (lost.id, lost.rank_then) == (gone, 1)
    assert any("erasures in the archive: 0 then, 1 now" in change.message for change in again.changes)
    assert any(change.what == "clips" for change in again.changes)
    assert again.lines()[0] == "The ranking is not the same:"


def test_another_photo_is_told(made: ArchiveFiles, then: Json, tmp_path: Path) -> None:  # noqa: F811
    query_for(tmp_path, [Walk("green", 0, 1)])
    again = replayed(made, then, (tmp_path / "photo.jpg",))
    assert not again.is_same
    assert [change.what for change in again.changes] == ["photo"]


def test_a_moved_photo_is_the_same_photo(
    made: ArchiveFiles,  # noqa: F811
    then: Json,
    tmp_path: Path,
) -> None:
    kept = Path(then["request"]["photos"][0]["photo"])
    moved = tmp_path / "moved.jpg"
    moved.write_bytes(kept.read_bytes())
    lost = copy.deepcopy(then)
    lost["request"]["photos"][0]["photo"] = str(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match=r"not there any more; .*--photo"):
        replayed(made, lost)
    assert replayed(made, lost, (moved,)) == Replay((), ())
    with pytest.raises(InputError, match="1 photos, got 2"):
        replayed(made, lost, (moved, moved))


@pytest.mark.parametrize(
    ("path", "value", "what", "words"),
    [
        (("model",), "0" * 64, "model", "another embedder"),
        (("code_version",), "0.0.9+1", "code_version", "the code: 0.0.9+1 then"),
        (("settings", "calibration"), "1" * 64, "calibration", "111111111111… then"),
        (("settings", "codebook"), "abc", "settings", "the setting codebook: abc then, none now"),
        (("settings", "libraries"), {"numpy": "1.0"}, "settings", "numpy 1.0 then"),
        (("plan",), "codes", "plan", "codes then, exact now"),
        (("archive", "people"), 3, "archive", "people: 3 people before"),
        (("archive", "shards"), [], "clips", "songpa/2025-02-18: new: 3 tracklets of 2 clips"),
        (("damaged",), [{"segment": "s", "reason": "r"}], "damaged", "segment s could not be read then"),
    ],
)
def test_every_change_is_named(
    then: Json, path: tuple[str, ...], value: object, what: str, words: str
) -> None:
    other = copy.deepcopy(then)
    place = other
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    found = compare(other, then)
    assert found.is_same
    assert {change.what for change in found.changes} == {what}
    assert any(words in change.message for change in found.changes)


def test_scores_and_places_are_compared(then: Json) -> None:
    other = copy.deepcopy(then)
    other["sightings"][0]["score"] -= 0.0002
    [moved] = compare(then, other).ranking
    assert (moved.rank_then, moved.rank_now) == (1, 1)
    other["sightings"][0]["score"] += 0.0001
    assert compare(then, other).is_same
    other["sightings"][1:3] = other["sightings"][2:0:-1]
    assert [(each.rank_then, each.rank_now) for each in compare(then, other).ranking] == [(2, 3), (3, 2)]
    assert "please report" in compare(then, other).lines()[-1]
    other["archive"]["catalogue_version"] += 1
    assert "a camera's place or clock" in compare(then, other).lines()[-1]


def test_every_field_of_a_request_comes_back(red: Query) -> None:  # noqa: F811
    """Fails when a field is added whose type has no plain form."""
    filters = Filters(("songpa",), ("S-1",), None, None, Near(37.5, 127.1, 900), 3, 4)
    request = Request((red,), filters, 7, True)
    kept = json.loads(json.dumps(request_to_json(request, 5, 9)))
    assert set(kept) == {"format", "photos"} | {each.name for each in fields(Request)} - {"queries", "judged"}
    asked = request_from_json(kept, "result.json")
    assert asked.photos[0].sha256 == red.sha256
    assert asked.request((red,)) == replace(request, filters=replace(filters, since_ms=5, until_ms=9))


@dataclass(frozen=True)
class _Inner:
    colour: Literal["red", "blue"]
    share: float = 0.5


@dataclass(frozen=True)
class _Outer:
    name: str
    pair: tuple[float, int]
    inner: _Inner | None = None
    many: tuple[_Inner, ...] = ()
    tags: frozenset[str] = frozenset()


def test_plain_values_and_back() -> None:
    outer = _Outer("a", (1.0, 2), _Inner("red"), (_Inner("blue", 1.0),), frozenset("xy"))
    assert from_plain(_Outer, json.loads(json.dumps(to_plain(outer))), "it") == outer
    assert from_plain(_Outer, {"name": "a", "pair": [1, 2]}, "it") == _Outer("a", (1.0, 2))
    with pytest.raises(TypeError, match="ndarray"):
        to_plain(np.zeros(3))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "it: expected an object"),
        ({"name": 3, "pair": [1, 2]}, "it.name: expected str"),
        ({"name": "a"}, "it.pair: expected a value"),
        ({"name": "a", "pair": [1]}, "it.pair: expected 2 values"),
        ({"name": "a", "pair": [1, True]}, r"it.pair\[1\]: expected int"),
        ({"name": "a", "pair": [1, 2], "inner": {"colour": "grey"}}, "it.inner: expected|'red' or 'blue'"),
        ({"name": "a", "pair": [1, 2], "later": 1}, "later: not known to this release"),
    ],
)
def test_plain_values_that_do_not_fit(value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_plain(_Outer, value, "it")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("", "expected JSON"),
        ("[1]", "expected a result"),
        ('{"sightings": 1}', "expected a result"),
        ('{"sightings": [{"id": 1}]}', "expected a result"),
        ('{"sightings": []}', "earlier releases"),
        ('{"sightings": [], "request": {"format": 99}}', "format 99"),
        ('{"sightings": [], "request": {"format": 1, "wings": 1}}', "wings"),
        ('{"sightings": [], "request": {"format": 1}}', "without filters"),
        (
            '{"sightings": [], "request": {"format": 1, "photos": [], "filters": {"districts": []}}}',
            "at least one district",
        ),
    ],
)
def test_files_that_cannot_be_asked_again(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        asked_again(read_result(path), str(path), (), FakeDetector(), FakeEmbedder())  # type: ignore[arg-type]
