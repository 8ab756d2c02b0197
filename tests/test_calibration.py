"""Calibration: a probability that is told must be about the share that is true."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reid.calibration import (
    FORMAT,
    Calibration,
    calibrate,
    expected_in_first,
    find_calibration,
    load_calibration,
    packaged_path,
)
from reid.errors import DamagedError, FormatError, InputError
from reid.labelled import LabelledVectors
from reid.models import find_model
from reid.registry import DEFAULT_EMBEDDER
from reid.vectors import unit_rows

D = 24


def pictures(seed: int, people: int, cameras: int = 3, blur: float = 0.12) -> LabelledVectors:
    """Everybody before each camera; pictures of low quality are noisier."""
    random = np.random.default_rng(seed)
    faces = unit_rows(random.normal(size=(people, D)).astype(np.float32))
    who = np.repeat(np.arange(people), cameras)
    qualities = random.uniform(0.2, 1.0, len(who)).astype(np.float32)
    noise = random.normal(size=(len(who), D)) * (blur / qualities)[:, None]
    vectors = unit_rows((faces[who] + noise).astype(np.float32))
    zeros = np.zeros(len(who), np.int64)
    return LabelledVectors(vectors, who, np.tile(np.arange(cameras), people), zeros, (), qualities)


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return calibrate(pictures(1, 300), "a" * 64)


def test_what_is_told_is_what_is_true_of_other_people(fitted: Calibration) -> None:
    other = pictures(2, 150)
    first = np.flatnonzero(other.cameras == 0)
    second = np.flatnonzero(other.cameras == 1)
    assert other.qualities is not None
    scores = other.vectors[first] @ other.vectors[second].T
    worse = np.minimum(other.qualities[first][:, None], other.qualities[second][None])
    told = np.stack([
        fitted.probabilities(row, quality, len(second), 1.0)
        for row, quality in zip(scores, worse, strict=True)
    ])  # fmt: skip
    assert told.sum() == pytest.approx(len(first), rel=0.1)  # one right sighting each is expected
    right = np.eye(len(first), dtype=bool)
    for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 1.0)):
        here = (told >= low) & (told < high)
        assert here.sum() > 10
        assert right[here].mean() == pytest.approx(told[here].mean(), abs=0.12)


def test_reliability_is_of_people_who_were_not_fitted_on(fitted: Calibration) -> None:
    assert fitted.error is not None
    assert fitted.error < 0.03
    assert sum(row.pairs for row in fitted.reliability) == pytest.approx(3 * 150 * 149 + 450, rel=0.02)


def test_more_alike_is_never_less_likely_and_more_footage_never_more(fitted: Calibration) -> None:
    scores = np.linspace(-1, 1, 41)
    for quality in (0.0, 0.3, 0.7, 1.0):
        ratio = fitted.log_ratio(scores, np.full(41, quality))
        assert (np.diff(ratio) > 0).all()
    few, many = (fitted.probabilities(scores, np.full(41, 0.5), n, 1.0) for n in (100, 10_000))
    assert (many <= few).all()
    assert (few >= 0).all()
    assert (few <= 1).all()


def test_a_bad_picture_says_less(fitted: Calibration) -> None:
    good, bad = fitted.log_ratio(np.array([0.05, 0.05]), np.array([1.0, 0.2]))
    assert bad > good  # little likeness speaks against the person only where the picture could show it


def test_qualities_nobody_saw_count_as_the_nearest(fitted: Calibration) -> None:
    seen = fitted.log_ratio(np.array([0.5]), np.array([fitted.qualities[0]]))
    np.testing.assert_array_equal(fitted.log_ratio(np.array([0.5]), np.array([0.0])), seen)


def test_likeness_that_tells_nothing_is_told_as_nothing() -> None:
    random = np.random.default_rng(3)
    blind = pictures(4, 100)
    vectors = unit_rows(random.normal(size=blind.vectors.shape).astype(np.float32))
    found = calibrate(replace(blind, vectors=vectors), "b" * 64)
    told = found.probabilities(np.array([-0.5, 0.0, 0.5]), np.full(3, 0.6), 100, 1.0)
    assert (told < 0.05).all()


def test_too_few_people_are_refused() -> None:
    with pytest.raises(InputError, match="at least 20 people seen by two cameras, got 12"):
        calibrate(pictures(5, 12), "c" * 64)
    alone = pictures(6, 40, cameras=1)
    with pytest.raises(InputError, match="got 0"):
        calibrate(alone, "c" * 64)


def test_it_can_be_checked_on_other_people(fitted: Calibration) -> None:
    bins, error = fitted.held_on(pictures(2, 150))
    assert error is not None
    assert error < 0.03
    assert sum(row.pairs for row in bins) == pytest.approx(3 * 150 * 149 + 450, rel=0.02)
    blurred = fitted.held_on(pictures(2, 150, blur=0.3))[1]
    assert blurred is not None
    assert blurred > 2 * error  # people who look less like themselves than those it was fitted on


def test_what_is_expected_in_the_first_adds_up() -> None:
    assert expected_in_first(np.array([0.5, 0.25, 0.25])).tolist() == [0.5, 0.75, 1.0]


def test_a_stations_own_comes_before_the_packaged_one(
    tmp_path: Path, fitted: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reid.calibration.PACKAGED", tmp_path / "weights")
    own = tmp_path / "archive" / "x.json"
    assert find_calibration(own, fitted.model) is None
    replace(fitted, people=7).save(packaged_path("net"))
    packaged = find_calibration(own, fitted.model)
    assert packaged is not None
    assert packaged.people == 7
    assert find_calibration(own, "b" * 64) is None  # of another model
    fitted.save(own)
    assert find_calibration(own, fitted.model) == fitted


def test_the_default_embedder_comes_with_one(tmp_path: Path) -> None:
    sha256 = find_model(DEFAULT_EMBEDDER, "embed", None).sha256
    found = find_calibration(tmp_path / "none.json", sha256)
    assert found is not None
    assert found == load_calibration(packaged_path(DEFAULT_EMBEDDER))


def test_it_is_kept_and_read_again(tmp_path: Path, fitted: Calibration) -> None:
    path = tmp_path / "calibration" / "x.json"
    fitted.save(path)
    assert load_calibration(path) == fitted
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "format": FORMAT + 1}))
    with pytest.raises(FormatError, match=f"format {FORMAT + 1}"):
        load_calibration(path)
    for wrong in ("", "[]", "{}", json.dumps({**table, "weights": "abc"})):
        path.write_text(wrong)
        with pytest.raises(DamagedError, match="--calibrate"):
            load_calibration(path)
