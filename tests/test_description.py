"""Statements: what a crop cannot show is unknown, and unknown is never a 'no'."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from reid.attributes import BY_NAME, COLUMNS, GROUPS
from reid.description import KOREAN, Statement, describe, words
from reid.images import Picture


def colourful(height: int = 160) -> Picture:
    crop = np.full((height, height // 2, 3), 90, np.uint8)
    crop[: height // 2] = (30, 60, 200)
    return crop


def logits(**answers: float) -> NDArray[np.float32]:
    """Logits of named answers ("hat" or "upper_colours/red"), all others 1e-3: nearly nothing."""
    values = np.full(COLUMNS, 1e-3, np.float32)
    for key, value in answers.items():
        name, _, answer = key.partition("__")
        group = BY_NAME[name]
        values[group.start + (group.answers.index(answer) if answer else 0)] = value
    return values


def statement(name: str, values: NDArray[np.float32], crop: Picture | None = None) -> Statement:
    found = {each.name: each for each in describe(values, colourful() if crop is None else crop)}
    assert list(found) == [group.name for group in GROUPS]
    return found[name]


def test_evidence_for_against_and_of_nothing() -> None:
    assert statement("hat", logits(hat=2.0)).said == ("hat",)
    assert statement("hat", logits(hat=2.0)).confidence == pytest.approx(1 / (1 + np.exp(-2)))
    against = statement("hat", logits(hat=-2.0))
    assert (against.said, against.unknown) == ((), None)
    assert statement("hat", logits(hat=0.3)) == Statement("hat", (), 0.0, "unsure")
    assert statement("hat", np.zeros(COLUMNS, np.float32)).unknown == "not told by this model"


def test_one_of_several_and_two_colours() -> None:
    assert statement("aid", logits(aid__cane=4.0)).said == ("cane",)
    assert statement("aid", logits(aid__cane=0.5)).unknown == "unsure"
    assert statement("age_group", logits(age_group__child=0.9)).unknown == "unsure"  # .55 of three
    both = statement("upper_colours", logits(upper_colours__red=5.0, upper_colours__white=4.7))
    assert both.said == ("red", "white")
    one = statement("upper_colours", logits(upper_colours__red=5.0, upper_colours__white=2.0))
    assert one.said == ("red",)


def test_what_the_picture_cannot_show_is_unknown() -> None:
    sure = logits(upper_colours__red=9.0, face=9.0, hat=9.0)
    grey = np.repeat(colourful()[..., :1], 3, axis=2)
    assert statement("upper_colours", sure, grey).unknown == "no colour in the picture"
    dark = (colourful() // 12).astype(np.uint8)
    assert statement("lower_colours", sure, dark).unknown == "too dark"
    assert statement("face", sure, colourful(100)).unknown == "too small"
    assert statement("face", sure).said == ("glasses or mask",)
    assert statement("hat", sure, grey).said == ("hat",)


def test_every_word_has_its_korean() -> None:
    words = {group.name for group in GROUPS} | {answer for group in GROUPS for answer in group.answers}
    assert words <= KOREAN.keys()


def test_statements_read_in_both_languages() -> None:
    assert words(Statement("upper_colours", ("red", "white"), 0.52)) == [
        "upper colours", "상의 색", "red, white", "빨강, 흰색", "0.52"
    ]  # fmt: skip
    assert words(Statement("hat", (), 0.9))[2:4] == ["none", "없음"]
    assert words(Statement("hat", (), 0.0, "unsure"))[2:4] == ["unknown, unsure", "알 수 없음, 불확실"]


def test_another_number_of_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="logits"):
        describe(np.zeros(3, np.float32), colourful())
