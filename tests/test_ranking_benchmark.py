"""The benchmark of the ranking: its cases are what they say, and its figures those of hand-made lists."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ranking import (
    RIGHT,
    STEPS,
    average_precision,
    calibration_error,
    folder_cases,
    measure,
    scenes,
)
from benchmarks.vectors import VectorModel
from reid.calibration import load_calibration, packaged_path
from reid.labelled import LabelledVectors
from reid.registry import DEFAULT_EMBEDDER
from reid.vectors import unit_rows


def test_average_precision_counts_what_is_not_on_the_list() -> None:
    assert average_precision(np.array([True, False, True]), 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([True, False, True]), 4) == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(np.array([False]), 0) == 0


def test_calibration_error_is_the_weighed_gap() -> None:
    told = np.array([0.15, 0.15, 0.95, 0.95, 0.0001])
    true = np.array([False, False, True, False, True])
    assert calibration_error(told, true) == pytest.approx((0.3 + 0.9) / 4)


def test_scenes_hold_as_many_right_tracklets_as_they_say() -> None:
    cases = list(scenes(VectorModel.load(), 3, strangers=150, each=4))
    assert [case.right for case in cases] == np.repeat(RIGHT, 4).tolist()
    assert all(case.compared == 450 + case.right for case in cases)
    assert all(case.shows.sum() <= case.right for case in cases)
    assert np.mean([case.shows.sum() == case.right for case in cases]) > 0.7
    figures = measure(cases, load_calibration(packaged_path(DEFAULT_EMBEDDER)))
    assert list(figures) == list(STEPS)
    assert figures["+ company"]["by_right"]["15"]["rank1"] > 0.7
    assert figures["+ company"]["by_right"]["0"]["rank1"] == 0


def test_a_folder_s_tracklets_are_all_pictures_of_a_person_by_a_camera() -> None:
    random = np.random.default_rng(1)
    vectors = unit_rows(random.normal(size=(24, 16)).astype(np.float32))
    people, cameras = np.repeat(np.arange(6), 4), np.tile([0, 0, 1, 1], 6)
    none = np.zeros(24, np.int64)
    labelled = LabelledVectors(vectors, people, cameras, none, (), np.full(24, 0.5, np.float32))
    cases = list(folder_cases(labelled))
    assert len(cases) == 24
    assert all(case.compared == 6 and case.right == case.shows.sum() == 1 for case in cases)
    assert all(len(rows) == 2 for case in cases for rows in case.sets)
    assert all(case.photos.shape == (2, 16) for case in cases)
