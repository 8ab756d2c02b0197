"""The whole job on real footage, where it lies beside the repository: track, index, search."""

from pathlib import Path

import pytest

from benchmarks import footage, search, tracking
from reid.detector import load_detector
from reid.embedder import load_embedder
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER

pytestmark = pytest.mark.skipif(not footage.EVAL.exists(), reason="shared/eval is not beside the repository")


@pytest.mark.parametrize("number", [0, 1, 2], ids=["PETS09-S2L1", "TUD-Campus", "TUD-Stadtmitte"])
def test_people_are_followed(number: int) -> None:
    sequence = footage.sequences()[number]
    seen, rate = tracking.see(sequence, load_detector(), load_embedder(), wanted_rate=5)
    numbers, _ = tracking.follow_people(seen, rate)
    assert tracking.measure(seen, numbers)["IDF1"] >= 0.75


def test_people_are_found_by_one_photo(tmp_path: Path) -> None:
    """At 2 frames a second 11 of 19 are right by people-net-2, which never saw a real one; chance is 1."""
    figures = search.measure((DEFAULT_DETECTOR, DEFAULT_EMBEDDER), tmp_path / "models", tmp_path, quick=True)
    assert figures["people"] == 19
    assert figures["first_right"] >= 10
    assert figures["average_precision_mean"] >= 0.6
