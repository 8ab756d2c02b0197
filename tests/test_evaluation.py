"""The cross-camera protocol against loops written from its definitions, and against hand-made cases."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reid import evaluation
from reid.errors import InputError
from reid.evaluation import (
    BINS,
    choose_queries,
    evaluate,
    histogram,
    right_ranks,
    without_camera_means,
)
from reid.evaluation_text import closing_lines, figures_rows, scores_rows
from reid.labelled import LabelledVectors, Skipped
from reid.vectors import unit_rows

Floats = NDArray[np.float32]


def labelled(
    vectors: Floats, people: list[int], cameras: list[int], conditions: list[str] | None = None
) -> LabelledVectors:
    names = tuple(sorted(set(conditions or [])))
    rows = [names.index(each) for each in conditions] if conditions else [0] * len(people)
    return LabelledVectors(
        np.asarray(vectors, np.float32), np.array(people), np.array(cameras), np.array(rows), names
    )


def angles(*degrees: float) -> Floats:
    """Unit vectors in the plane: the nearer the angles, the more alike."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)


# The definitions once more, in loops: nothing here may call the code under test.


def slow_query(data: LabelledVectors, vectors: Floats, query: int) -> dict[str, float] | None:
    ranking = []
    for other in range(len(vectors)):
        own = data.people[other] == data.people[query]
        if own and data.cameras[other] == data.cameras[query]:
            continue
        score = round(
            sum(float(a) * float(b) for a, b in zip(vectors[query], vectors[other], strict=True)), 6
        )
        ranking.append((-score, bool(own)))  # of equal scores False, the wrong one, stands first
    ranking.sort()
    right = [place for place, (_, own) in enumerate(ranking, start=1) if own]
    if not right:
        return None
    precisions = [sum(other <= place for other in right) / place for place in right]
    hits = {f"rank{k}": float(any(own for _, own in ranking[:k])) for k in (1, 5, 10)}
    return {**hits, "mAP": sum(precisions) / len(right), "mINP": len(right) / max(right)}


def slow(data: LabelledVectors, vectors: Floats, queries: list[int]) -> dict[str, float]:
    results = [slow_query(data, vectors, query) for query in queries]
    counted = [result for result in results if result is not None]
    means = {name: sum(each[name] for each in counted) / len(counted) for name in counted[0]}
    return {**means, "queries": len(counted), "queries_without_right_image": len(results) - len(counted)}


def slow_means(data: LabelledVectors) -> Floats:
    rows = []
    for row in range(len(data.vectors)):
        beside = [data.vectors[k] for k in range(len(data.vectors)) if data.cameras[k] == data.cameras[row]]
        rest = [float(value) - sum(float(v[i]) for v in beside) / len(beside)
                for i, value in enumerate(data.vectors[row])]  # fmt: skip
        length = math.sqrt(sum(value * value for value in rest))
        rows.append([value / length if length > 1e-6 else 0.0 for value in rest])
    return np.array(rows, np.float32)


def slow_histogram(data: LabelledVectors, vectors: Floats) -> tuple[list[int], list[int]]:
    counts = {True: [0] * BINS, False: [0] * BINS}
    for a in range(len(vectors)):
        for b in range(a + 1, len(vectors)):
            if data.cameras[a] != data.cameras[b]:
                score = round(float(vectors[a].astype(float) @ vectors[b].astype(float)), 6)
                place = min(math.floor(round((score + 1) * BINS / 2, 6)), BINS - 1)
                counts[bool(data.people[a] == data.people[b])][place] += 1
    return counts[True], counts[False]


def random_set(seed: int, ties: bool) -> LabelledVectors:
    """40 pictures of 13 people, people 11 and 12 in one camera only; with ties the scores are quarters."""
    random = np.random.default_rng(seed)
    people = random.integers(0, 13, 40)
    cameras = np.where(people >= 11, 0, random.integers(0, 4, 40))
    if ties:
        vectors = random.choice([-0.5, 0.5], (40, 4)).astype(np.float32)
    else:
        centres = random.normal(size=(13, 16))
        vectors = unit_rows((centres[people] + 1.2 * random.normal(size=(40, 16))).astype(np.float32))
    names = ["day", "night"]
    return labelled(vectors, people.tolist(), cameras.tolist(), [names[n] for n in random.integers(0, 2, 40)])


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("seed", range(8))
def test_against_loops_on_random_data(seed: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_BLOCK", 40 * 7)  # blocks of 7 rows: the seams must not show
    data = random_set(seed, ties)
    found = evaluate(data, seed).to_json()
    queries = choose_queries(data, seed).tolist()
    for way, vectors in ((found, data.vectors), (found["camera_means"], slow_means(data))):
        expected = slow(data, vectors, queries)
        assert {name: way[name] for name in expected} == pytest.approx(expected)
        assert way["images"] == 40
        for number, name in enumerate(data.condition_names):
            part = [query for query in queries if data.conditions[query] == number]
            expected = slow(data, vectors, part)
            shown = way["by_condition"][name]
            assert {each: shown[each] for each in expected} == pytest.approx(expected)
        if not ties or way is found:  # with means taken off, ties no longer lie exactly on an edge
            same, different = slow_histogram(data, vectors)
            assert (way["histogram"]["same"], way["histogram"]["different"]) == (same, different)


@pytest.mark.parametrize(
    ("others", "people", "cameras", "expected"),
    # The query is person 0 in camera 0 at 0 degrees; the others stand at these angles.
    [
        ([10, 20], [0, 1], [1, 1], [1]),  # the right one is nearer
        ([20, 10], [0, 1], [1, 1], [2]),
        ([10, 10], [0, 1], [1, 1], [2]),  # a tie: the wrong one stands first ...
        ([10, 10], [1, 0], [1, 1], [2]),  # ... whatever the order of the rows
        ([10, 10, 10], [0, 1, 0], [1, 1, 2], [2, 3]),
        ([5, 10], [0, 0], [0, 1], [1]),  # the same person in the same camera is not there
        ([5, 10], [1, 0], [0, 1], [2]),  # another person in the same camera is
        ([10, 20, 30, 40], [0, 1, 0, 1], [1, 1, 2, 2], [1, 3]),
        ([10, 20], [1, 2], [1, 1], []),  # nobody right
    ],
)
def test_ranks_by_hand(
    others: list[float], people: list[int], cameras: list[int], expected: list[int]
) -> None:
    data = labelled(angles(0, *others), [0, *people], [0, *cameras])
    assert right_ranks(data, data.vectors, np.array([0]))[0].tolist() == expected


def test_figures_by_hand() -> None:
    # Person 0: right at ranks 1 and 3 from camera 0; AP (1 + 2/3) / 2, INP 2/3.
    data = labelled(angles(0, 10, 20, 30), [0, 0, 1, 0], [0, 1, 1, 1])
    found = evaluate(data).to_json()
    # Camera 1's query of person 0 finds the one picture of camera 0 behind person 1 or, from 10 degrees,
    # beside it (both 10 degrees away: a tie, so behind); person 1 was seen by one camera.
    assert found["queries"] == 2
    assert found["queries_without_right_image"] == 1
    assert found["rank1"] == 0.5
    assert found["rank5"] == 1
    assert found["mAP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert found["mINP"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_model_that_cannot_tell_gets_nothing() -> None:
    people, cameras = [person for person in range(20) for _ in range(2)], [0, 1] * 20
    found = evaluate(labelled(np.ones((40, 1), np.float32), people, cameras))
    assert found.plain.overall.ranks == (0, 0, 0)
    assert found.camera_means.overall.ranks == (0, 0, 0)  # nothing is left: all rows are zero
    assert found.plain.overall.mean_ap < 1 / 20


def test_one_query_per_person_and_camera() -> None:
    data = random_set(3, ties=False)
    seen = {(int(p), int(c)) for p, c in zip(data.people, data.cameras, strict=True)}
    draws = []
    for seed in range(40):
        queries = choose_queries(data, seed)
        assert len(queries) == len(seen)
        assert {(int(data.people[q]), int(data.cameras[q])) for q in queries} == seen
        assert queries.tolist() == choose_queries(data, seed).tolist()
        draws.append(queries)
    # Every picture is drawn some time: none is favoured by its place.
    assert set(np.concatenate(draws).tolist()) == set(range(len(data.people)))


def test_subtracting_means_undoes_a_cameras_colour() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, 8)).astype(np.float32)
    vectors = unit_rows(np.concatenate([centres, centres + 6 * np.eye(8, dtype=np.float32)[0]]))
    data = labelled(vectors, [*range(30), *range(30)], [0] * 30 + [1] * 30)
    found = evaluate(data)
    assert found.camera_means.overall.ranks[0] > found.plain.overall.ranks[0] + 0.3


def test_a_camera_with_one_picture_is_left_with_nothing() -> None:
    data = labelled(angles(0, 30, 60), [0, 1, 0], [0, 0, 1])
    rest = without_camera_means(data)
    assert rest[2].tolist() == [0, 0]
    assert np.linalg.norm(rest[:2], axis=1) == pytest.approx([1, 1])


def test_the_histogram_counts_each_pair_once_and_holds_its_edges() -> None:
    vectors = np.array([[1, 0], [1, 0], [-1, 0], [0, 1]], np.float32)
    found = histogram(labelled(vectors, [0, 0, 1, 1], [0, 1, 2, 2]), vectors)
    assert found.same.nonzero()[0].tolist() == [BINS - 1]  # 1.0 lies in the last bin
    assert found.different[0] == 2  # -1.0 in the first
    assert found.different[BINS // 2] == 2  # 0.0 in the bin it begins
    assert found.same.sum() + found.different.sum() == 5  # 2 and 3 share a camera


@pytest.mark.parametrize("cameras", [[0, 0, 0, 0], [0, 1, 2, 3]], ids=["one camera", "nobody twice"])
def test_without_a_person_in_two_cameras_there_is_no_query(cameras: list[int]) -> None:
    people = [0, 0, 1, 1] if cameras[1] == 0 else [0, 1, 2, 3]
    with pytest.raises(InputError, match="two or more cameras"):
        evaluate(labelled(angles(0, 1, 2, 3), people, cameras))


def test_a_condition_without_a_query_says_so() -> None:
    data = labelled(angles(0, 5, 90), [0, 0, 1], [0, 1, 0], ["day", "day", "night"])
    found = evaluate(data)
    night = found.to_json()["by_condition"]["night"]
    assert (night["rank1"], night["mAP"], night["queries"]) == (None, None, 0)
    assert ["night", *["no query"] * 5, "0"] in figures_rows(found)


def test_the_shown_scores_add_up() -> None:
    found = evaluate(random_set(1, ties=False))
    rows = scores_rows(found.plain.histogram)
    assert sum(int(row[1]) for row in rows) == found.plain.histogram.same.sum()
    assert sum(int(row[3]) for row in rows) == found.plain.histogram.different.sum()
    lines = closing_lines(found, [Skipped("a.png", 3, "missing", "not there")] * 12)
    assert "line 3, a.png: missing: not there" in lines
    assert "2 more" in lines[-1]


def test_wrong_shapes_are_refused() -> None:
    data = labelled(angles(0, 1), [0, 0], [0, 1])
    with pytest.raises(ValueError, match="labels"):
        replace(data, cameras=np.array([0]))
    with pytest.raises(ValueError, match="float32"):
        replace(data, vectors=np.zeros((2, 2)))  # type: ignore[arg-type]
