"""Feedback as evidence: against the optimum it claims, and what confirming and rejecting must do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import cli
from benchmarks import feedback as bench
from benchmarks.vectors import VectorModel
from indexer.shard.files import ArchiveFiles
from reid.calibration import Calibration, load_calibration, packaged_path
from reid.errors import InputError
from reid.images import encode_jpeg
from reid.registry import DEFAULT_EMBEDDER
from reid.vectors import unit_rows
from search import feedback
from search.cases import Cases
from search.engine import Engine
from search.judged import Feedback, find_judged
from search.query import Query
from search.report import to_html, to_json
from search.request import Request
from search.sightings import SearchResult, find_sightings
from tests.canned import copy_of
from tests.crowd import snapshot
from tests.test_report import DISTRICTS
from tests.test_search import SCOPE, made, red  # noqa: F401  fixtures
from tests.world import FakeDetector, FakeEmbedder, Walk, picture_of

F32 = NDArray[np.float32]
NOTHING = np.empty((0, 64), np.float32)
CALIBRATION = Calibration("m", (-8.0, 25.0, 0.0, 0.0, 0.0), (0.0, 1.0), 9, 9, 9, (), 0.01)


def near(random: np.random.Generator, middle: F32, count: int, spread: float = 0.6) -> list[F32]:
    """Tracklets of one row each around a unit vector."""
    noise = spread * unit_rows(random.normal(size=(count, len(middle))).astype(np.float32))
    return [row[None] for row in unit_rows(middle + noise)]


@pytest.fixture(scope="module")
def people() -> tuple[F32, F32, list[F32]]:
    """The person, a sibling who looks much like them, and a shortlist: 8 of each, then 60 of others."""
    random = np.random.default_rng(4)
    person, apart, *others = unit_rows(random.normal(size=(62, 64)).astype(np.float32))
    [sibling] = unit_rows((0.75 * person + 0.5 * apart)[None])
    hits = near(random, person, 8) + near(random, sibling, 8)
    return person, sibling, hits + [unit_rows((0.3 * person + each)[None]) for each in others]


def ratios(right: F32, rejected: F32, hits: list[F32]) -> NDArray[np.float64]:
    return feedback.as_confirmed(hits, right, rejected, np.zeros(len(hits), bool), 10_000)


def test_confirming_raises_the_person_and_rejecting_lowers_the_sibling(
    people: tuple[F32, F32, list[F32]],
) -> None:
    _, _, hits = people
    random = np.random.default_rng(5)
    photo = np.concatenate(near(random, people[0], 1))
    right = np.concatenate([photo, hits[0], hits[1]])
    wrong = np.concatenate([hits[8], hits[9]])
    plain, told = ratios(right, NOTHING, hits), ratios(right, wrong, hits)
    unseen, siblings = slice(2, 8), slice(10, 16)
    assert told[unseen].min() > told[siblings].max(), "told apart, though only two of each were judged"
    assert (told[siblings] < plain[siblings]).all()
    gaps = [np.mean(each[unseen]) - np.mean(each[siblings]) for each in (plain, told)]
    assert gaps[1] > 2 * gaps[0]
    assert told[unseen].min() > told[16:].max()


def test_more_tracklets_to_compare_need_more_likeness(people: tuple[F32, F32, list[F32]]) -> None:
    """The evidence is against everybody compared: ten times as many raise it by as much as the shortlist is
    more select."""
    _, _, hits = people
    judged = np.zeros(len(hits), bool)
    few, many = (
        feedback.as_confirmed(hits, hits[0], NOTHING, judged, compared) for compared in (10_000, 100_000)
    )
    assert many - few == pytest.approx(np.log(10))


def test_the_regression_is_at_its_optimum() -> None:
    random = np.random.default_rng(6)
    rows = unit_rows(random.normal(size=(30, 12)).astype(np.float32))
    right, weights = np.arange(30) < 4, random.random(30)
    direction, height = feedback._logistic(rows, right, weights)

    def loss(change: NDArray[np.float64]) -> float:
        w = direction + change[:-1]
        b = height / feedback._CONSTANT + change[-1]  # the ridge holds the height too, as a further number
        odds = rows @ w + b * feedback._CONSTANT
        fit = weights * np.logaddexp(0, np.where(right, -odds, odds))
        return float(fit.sum() + feedback._RIDGE / 2 * (w @ w + b * b))

    best = loss(np.zeros(13))
    assert all(loss(0.05 * random.normal(size=13)) > best for _ in range(200))


def test_rejected_ones_alone_lower_who_is_like_them(people: tuple[F32, F32, list[F32]]) -> None:
    _, sibling, hits = people
    qualities = np.full(len(hits), 0.5)
    told = feedback.as_rejected(hits, qualities, sibling[None], 1000, CALIBRATION)
    assert told.max() <= 0
    assert told[8:16].max() < told[16:].min()
    assert told[16:].mean() > -0.1
    alike = np.array([float((each @ sibling).max()) for each in hits])
    assert np.array_equal(np.argsort(told, kind="stable"), np.argsort(-alike, kind="stable"))


def test_of_many_confirmed_the_most_unlike_are_searched_by() -> None:
    rows = unit_rows(np.array([[1, 0], [1, 0.01], [0, 1], [1, 0.5]], np.float32))
    assert feedback.most_unlike(rows, 3).tolist() == [0, 2, 3]
    assert feedback.most_unlike(rows[:1]).tolist() == [0]
    assert feedback.most_unlike(rows[:0]).tolist() == []


def ask(
    archive: ArchiveFiles, query: Query, yes: tuple[str, ...] = (), no: tuple[str, ...] = ()
) -> SearchResult:
    judged = tuple(find_judged(archive, snapshot(archive), [*yes, *no]).values())
    request = Request((query,), SCOPE, feedback=Feedback(yes, no), judged=judged)
    with Engine(archive, FakeEmbedder().spec) as engine:
        return find_sightings(engine, request)


def ids(result: SearchResult) -> list[str]:
    return [each.record.id for each in result.sightings]


def test_no_feedback_changes_nothing(made: ArchiveFiles, red: Query) -> None:  # noqa: F811
    with Engine(made, FakeEmbedder().spec) as engine:
        plain = find_sightings(engine, Request((red,), SCOPE))
    same = ask(made, red)
    assert [(each.score, each.evidence) for each in same.sightings] == [
        (each.score, each.evidence) for each in plain.sightings
    ]
    assert all("feedback" not in each.evidence for each in same.sightings)


def test_a_search_with_feedback(made: ArchiveFiles, red: Query) -> None:  # noqa: F811
    before = ask(made, red)
    first, second, third, last = ids(before)
    after = ask(made, red, (first,), (third,))
    assert third not in ids(after)
    assert set(ids(after)) == {first, second, last}
    shown = {each.record.id: each for each in after.sightings}
    assert shown[first].decision == "confirmed"
    assert shown[second].decision is None
    scores = {each.record.id: each.score for each in before.sightings}
    for each in after.sightings:
        assert each.score == pytest.approx(scores[each.record.id], abs=1e-5), (
            "a score is likeness to the photo"
        )
    told = to_json(after)
    assert told["feedback"] == {
        "case": None, "confirmed": [first], "rejected": [third], "not_in_archive": [], "not_used": []
    }  # fmt: skip
    assert {each["id"]: each["decision"] for each in told["sightings"]}[first] == "confirmed"
    html = to_html(after, DISTRICTS)
    assert "confirmed 확인됨" in html
    assert "1 confirmed and 1 rejected sightings of this search" in html


def test_all_rejected_is_no_crash(made: ArchiveFiles, red: Query) -> None:  # noqa: F811
    assert ask(made, red, (), tuple(ids(ask(made, red)))).sightings == ()


def test_a_judged_sighting_without_its_copy_is_refused(red: Query) -> None:  # noqa: F811
    with pytest.raises(InputError, match="its id alone"):
        Request((red,), SCOPE, feedback=Feedback(("a" * 16,)))


@pytest.fixture
def home(made: ArchiveFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    monkeypatch.setattr("reid.embedder.load_embedder", lambda *_: FakeEmbedder())
    monkeypatch.setattr("reid.detector.load_detector", lambda *_, **__: FakeDetector())
    return copy_of(made, tmp_path).home


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_jpeg(picture_of([Walk("red", 0, 1)], 0), 98))
    return path


def reid(home: Path, *arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [*map(str, arguments), "--home", str(home)])


def answer(home: Path, *arguments: object) -> dict[str, object]:
    result = reid(home, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told: dict[str, object] = json.loads(result.stdout)
    return told


def listed(told: dict[str, object]) -> list[str]:
    sightings = told["sightings"]
    assert isinstance(sightings, list)
    return [each["id"] for each in sightings]


def test_a_case_from_its_first_search_to_its_deletion(home: Path, photo: Path) -> None:
    first, second, third, _ = listed(answer(home, "search", photo, "--case", "2026-SP-0142"))
    told = answer(home, "search", "--case", "2026-SP-0142", "--confirm", first[:8], "--reject", third)
    assert third not in listed(told)
    photo.unlink()  # the case has it
    again = answer(home, "search", "--case", "2026-SP-0142")
    assert listed(again) == listed(told)
    assert again["feedback"] == told["feedback"]

    shown = answer(home, "case", "show", "2026-SP-0142")
    assert [(each["id"], each["decision"]) for each in sorted_sightings(shown)] == sorted(
        [(first, "confirmed"), (third, "rejected")]
    )
    assert "confirmed" in reid(home, "case", "show", "2026-SP-0142").stdout
    assert "2026-SP-0142" in reid(home, "case", "list").stdout
    assert reid(home, "case", "undo", "2026-SP-0142", third[:6]).exit_code == 0
    assert third in listed(answer(home, "search", "--case", "2026-SP-0142"))

    erased = reid(home, "erase", "--tracklet", first, "--yes")
    assert "case 2026-SP-0142 keeps a copy" in erased.stdout
    gone = answer(home, "search", "--case", "2026-SP-0142")
    assert first not in listed(gone)
    assert gone["feedback"] == {
        "case": "2026-SP-0142", "confirmed": [first], "rejected": [], "not_in_archive": [first],
        "not_used": [],
    }  # fmt: skip
    assert listed(gone)[0] == second
    assert "used from the copy" in reid(home, "search", "--case", "2026-SP-0142").stdout

    assert reid(home, "case", "close", "2026-SP-0142").exit_code == 0
    refused = reid(home, "search", "--case", "2026-SP-0142")
    assert refused.exit_code == 2
    assert "reid case reopen 2026-SP-0142" in refused.stderr
    assert reid(home, "case", "close", "2026-SP-0142", "--delete", "--yes").exit_code == 0
    assert answer(home, "case", "list") == {"cases": []}


def sorted_sightings(shown: dict[str, object]) -> list[dict[str, str]]:
    sightings = shown["sightings"]
    assert isinstance(sightings, list)
    return sorted(sightings, key=lambda each: str(each["id"]))


def test_a_result_with_feedback_is_asked_again(home: Path, photo: Path, tmp_path: Path) -> None:
    first, *_, last = listed(answer(home, "search", photo))
    result = reid(home, "search", photo, "--confirm", first, "--reject", last, "--json")
    kept = tmp_path / "result.json"
    kept.write_text(result.stdout)
    again = reid(home, "replay", kept)
    assert again.exit_code == 0, again.stdout
    assert "The same ranking" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--confirm", "{first}", "--reject", "{first}"], "both confirmed and rejected"),
        (["--confirm", "{first}", "--reject", "{first:.7}"], "both confirmed and rejected"),
        (["--confirm", "abc"], "6 to 16 digits"),
        (["--reject", "f" * 16], "no sighting"),
        (["--case", "../x"], "case id"),
    ],
)
def test_bad_feedback(home: Path, photo: Path, arguments: list[str], told: str) -> None:
    [first, *_] = listed(answer(home, "search", photo))
    result = reid(home, "search", photo, *(each.format(first=first) for each in arguments))
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert answer(home, "case", "list") == {"cases": []}, "a command that failed keeps nothing"


def test_a_case_needs_a_photo(home: Path, photo: Path) -> None:
    for arguments, told in [(["--case", "new"], "give the photo that opens it"), ([], "expected a photo")]:
        result = reid(home, "search", *arguments)
        assert result.exit_code == 2
        assert told in result.stderr
    answer(home, "search", photo, "--case", "new")
    result = reid(home, "search", "--case", "new", "--person", "1")
    assert result.exit_code == 2
    assert "the case's photos have theirs" in result.stderr
    with Cases(ArchiveFiles(home)) as cases:
        assert cases.get("new", pictures=True).photos[0].data == photo.read_bytes()
    assert "did you mean new" in reid(home, "case", "show", "nwe").stderr


def test_two_confirmations_and_three_rejections_are_worth_it() -> None:
    """On vectors spread as real embeddings are; the figures that count are in benchmarks/LOG.md."""
    model = VectorModel.load()
    fit = load_calibration(packaged_path(DEFAULT_EMBEDDER))
    figures = bench.measure(bench.make_world(model, 4000, 40, seed=12), fit)
    before, after = (figures["strategies"][name] for name in (bench.BEFORE, bench.OURS))
    for name in ("right in 20", "right in 20, sibling", "AP", "AP, sibling"):
        assert 1 - after[name] < 0.75 * (1 - before[name]), name
    assert after["siblings in 20"] < before["siblings in 20"] - 1
    assert figures["probability"]["expected"] == pytest.approx(figures["probability"]["right"], rel=0.2)
    assert figures["probability"]["error"] < 0.05
