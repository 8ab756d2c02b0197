"""What several crops of one person say together, and how it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.clothes import Look, from_stored, look, parse_colours, to_stored
from reid.attributes import BY_NAME, COLUMNS
from reid.images import Picture


class Told:
    """An embedder that says these logits of the crops, one row each."""

    def __init__(self, rows: Sequence[dict[str, float]] | None) -> None:
        self._rows = rows

    def attributes(self, crops: Sequence[Picture]) -> NDArray[np.float32] | None:
        if self._rows is None:
            return None
        logits = np.full((len(crops), COLUMNS), -1.0, np.float32)
        for row, answers in zip(logits, self._rows, strict=True):
            for key, value in answers.items():
                name, _, answer = key.partition("/")
                group = BY_NAME[name]
                row[group.start + (group.answers.index(answer) if answer else 0)] = value
        return logits


def colourful(height: int = 160) -> Picture:
    crop = np.full((height, height // 2, 3), 90, np.uint8)
    crop[: height // 2] = (30, 60, 200)
    return crop


GREY = np.repeat(colourful()[..., :1], 3, axis=2)


def seen(rows: Sequence[dict[str, float]] | None, *crops: Picture) -> Look:
    return look(Told(rows), crops)  # type: ignore[arg-type]


def at(told: Look, name: str, answer: str | None = None) -> float:
    group = BY_NAME[name]
    return float(from_stored(told.attributes)[group.start + (group.answers.index(answer) if answer else 0)])


def test_evidence_is_averaged_over_the_crops_that_can_tell() -> None:
    rows = [{"upper_colours/red": 3.0, "hat": 2.0}, {"upper_colours/red": 9.0, "hat": -1.0}]
    both = seen(rows, colourful(), colourful())
    assert (at(both, "upper_colours", "red"), at(both, "hat")) == (6.0, 0.5)
    one = seen(rows, colourful(), GREY)  # the second shows no colour, which is no 'no'
    assert (at(one, "upper_colours", "red"), at(one, "hat")) == (3.0, 0.5)
    assert one.upper == parse_colours(["red"])
    none = seen(rows, GREY, GREY)
    assert (at(none, "upper_colours", "red"), none.upper, at(none, "hat")) == (0.0, 0, 0.5)


def test_small_crops_say_nothing_of_what_is_small() -> None:
    told = seen([{"face": 4.0, "hat": 4.0}], colourful(100))
    assert (at(told, "face"), at(told, "hat")) == (0.0, 4.0)


def test_a_model_that_describes_nobody() -> None:
    told = seen(None, colourful())
    assert (told.upper, told.lower, told.attributes.any()) == (0, 0, np.False_)


def test_stored_evidence_is_the_nearest_sixteenth_and_has_an_end() -> None:
    values = np.array([0.0, 0.03, 0.04, -1.53, 7.9, 50.0, -50.0], np.float32)
    again = from_stored(to_stored(values))
    assert again.tolist() == pytest.approx([0, 0, 1 / 16, -24 / 16, 126 / 16, 127 / 16, -127 / 16])
