"""What a caller says: read in two languages, refused where it cannot be, weighed without killing anybody."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.clothes import to_stored
from indexer.shard.records import Attributes
from reid.attributes import BY_NAME, COLOURS, COLUMNS
from reid.errors import InputError, UnknownNameError
from reid.vocabulary import AGE_WORDS, COLOUR_WORDS, THING_WORDS
from search.description import (
    DOUBT,
    Description,
    description,
    frequency,
    read_description,
    shown_by,
    weighed,
)


def seen(**answers: float) -> Attributes:
    """(1, COLUMNS) as stored: evidence of named answers ("hat" or "aid__cane"), 0 for the rest."""
    told = np.zeros(COLUMNS)
    for key, value in answers.items():
        name, _, answer = key.partition("__")
        group = BY_NAME[name]
        told[group.start + (group.answers.index(answer) if answer else 0)] = value
    return to_stored(told[None])


def said(**words: list[str]) -> Description:
    found = read_description(**words)
    assert found is not None
    return found


def weights(what: Description, attributes: Attributes) -> list[float]:
    return [float(each) for each in description(what, attributes).log_ratios]


@pytest.mark.parametrize(
    ("english", "korean", "word"),
    [
        # (arguments in English, in Korean, what is understood)
        ({"upper": ["yellow"]}, {"upper": ["노란색"]}, "upper yellow"),
        ({"lower": [" BLACK "]}, {"lower": ["검은"]}, "lower black"),
        ({"upper": ["navy"]}, {"upper": ["남색"]}, "upper blue or black"),
        ({"upper": ["red", "white"]}, {"upper": ["빨강, 하얀색"]}, "upper red or white"),
        ({"age": ["elderly"]}, {"age": ["할머니"]}, "elder"),
        ({"having": ["walking  stick"]}, {"having": ["지팡이"]}, "cane"),
        ({"having": ["bag"]}, {"having": ["핸드백"]}, "bag"),
        ({"having": ["short sleeves"]}, {"having": ["반팔"]}, "short sleeves"),
        ({"without": ["short sleeves"]}, {"without": ["짧은 소매"]}, "long sleeves"),
        ({"without": ["cap"]}, {"without": ["모자"]}, "without hat"),
        ({"having": ["striped"]}, {"having": ["줄무늬"]}, "striped"),
    ],
)
def test_both_languages_mean_the_same(
    english: dict[str, list[str]], korean: dict[str, list[str]], word: str
) -> None:
    assert said(**english) == said(**korean)
    assert [asked.word for asked in said(**english).asked] == [word]
    assert said(upper=[unicodedata.normalize("NFD", "노란색")]) == said(upper=["yellow"])


def test_every_word_means_answers_there_are() -> None:
    for answers in COLOUR_WORDS.values():
        assert set(answers) <= set(COLOURS)
    for answers in (*AGE_WORDS.values(), *THING_WORDS.values()):
        for answer in answers:
            group, _, name = answer.removeprefix("not ").partition("/")
            assert name in BY_NAME[group].answers
    assert read_description() is None


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"upper": ["yelow"]}, "unknown colour .yelow.; did you mean yellow"),
        ({"lower": ["검저"]}, "unknown colour .검저.; did you mean 검정"),
        ({"upper": ["red,"]}, "unknown colour"),
        ({"age": ["eldest"]}, "unknown age group .eldest.; did you mean elder"),
        ({"having": ["can"]}, "unknown thing worn or carried .can.; did you mean .*cane"),
        ({"having": ["cane"], "without": ["지팡이"]}, "contradict each other"),
        ({"having": ["long sleeves", "반팔"]}, "contradict each other"),
        ({"having": ["가방"], "without": ["backpack"]}, "contradict each other"),
        ({"age": ["child", "노인"]}, "expected one of child, adult, elder"),
        ({"having": ["skirt", "shorts"]}, "expected one of trousers, shorts, skirt, dress"),
    ],
)
def test_what_cannot_be_is_refused(words: dict[str, list[str]], line: str) -> None:
    with pytest.raises(InputError, match=line):
        read_description(**words)
    with pytest.raises(UnknownNameError) as caught:
        read_description(upper=["yelow"])
    assert caught.value.suggestions == ["yellow"]


def test_unknown_speaks_for_nobody_and_against_nobody() -> None:
    whole = said(
        upper=["yellow", "navy"], lower=["black"], age=["elder"], having=["cane", "skirt", "hat", "striped"],
        without=["bag"],
    )  # fmt: skip
    assert weights(whole, seen()) == [0]
    assert not whole.told(seen())[1].any()
    assert [each.text for each in shown_by(whole, seen()[0])] == [
        f"{asked.word}: unknown" for asked in whole.asked
    ]
    nothing, hat, none = weights(whole, np.concatenate([seen(), seen(hat=1.0), seen(hat=-1.0)]))
    assert hat > nothing == 0 > none


def test_the_stored_log_ratios_are_what_the_pictures_say() -> None:
    """By hand: either of two colours, one answer of several against the others, the opposite of a denial."""
    shown = seen(upper_colours__yellow=2.0, upper_colours__black=-3.0)
    either = np.log((np.exp(2.0) + np.exp(-3.0)) / 2)
    cases: list[tuple[Description, Attributes, float]] = [
        (said(upper=["yellow"]), shown, 2.0),
        (said(upper=["yellow", "black"]), shown, either),
        (said(having=["hat"]), seen(hat=-1.5), -1.5),
        (said(without=["hat"]), seen(hat=-1.5), 1.5),
        # adult or child, of which .8 and .2 are taken, beside an elder
        (said(age=["elder"]), seen(age_group__elder=3.0, age_group__child=1.0),
         3.0 - np.log(0.8 + 0.2 * np.e)),
    ]  # fmt: skip
    for what, attributes, expected in cases:
        [ratio], _ = what.asked[0].log_ratios(attributes)
        assert ratio == pytest.approx(expected)
        [shown_one] = shown_by(what, attributes[0])
        assert shown_one.chance == pytest.approx(1 / (1 + np.exp(-expected)))


def test_one_wrong_thing_never_kills_and_more_evidence_is_never_less() -> None:
    most = np.log((1 - DOUBT) / DOUBT)
    steps: NDArray[np.float64] = np.linspace(-7.9, 7.9, 60)
    each = np.concatenate([seen(upper_colours__red=float(step)) for step in steps])
    red, told = said(upper=["red"]).told(each)
    assert told.all()
    for share in (0.01, 0.5, 0.99):
        one = weighed(red, told, [share])
        assert np.abs(one).max() <= most
        assert (np.diff(one) > 0).all()
    # as if one time in five a coin said yes or no, whoever it is
    two = np.exp(2.0) / (0.5 * np.exp(2.0) + 0.5)
    yes = 0.8 * two / (1 + two) + 0.2 * 0.5
    [one] = weighed(np.array([[2.0]]), np.ones((1, 1), np.bool_), [0.5])
    assert one == pytest.approx(np.log(yes / (1 - yes)))


def test_what_everybody_wears_says_little() -> None:
    """Of 200 people 190 are in black, 4 have a cane: the cane tells more, however sure the network is."""
    black = [seen(upper_colours__black=4.0 if k < 190 else -4.0) for k in range(200)]
    cane = [seen(aid__cane=4.0 if k < 4 else -4.0, aid__none=0.0 if k < 4 else 4.0) for k in range(200)]
    people = np.concatenate([each | other for each, other in zip(black, cane, strict=True)])
    worn, carried = weights(said(upper=["black"]), people), weights(said(having=["cane"]), people)
    assert worn[0] < 0.2 < 1.5 < carried[0]
    assert max(worn[-1], carried[-1]) < -0.8


def test_the_frequency_is_found_and_nobody_gains_by_chance() -> None:
    random = np.random.default_rng(3)
    true = random.random(4000) < 0.15
    ratios = random.normal(np.where(true, 2.0, -2.0), 2.0)  # of such two the log ratio is the value itself
    share = frequency(ratios, np.ones(4000))
    assert share == pytest.approx(0.15, abs=0.02)
    gained = weighed(ratios[None], np.ones((1, 4000), np.bool_), [share])
    assert 0.3 < np.exp(gained).mean() < 1
    values, counts = np.unique(np.round(ratios, 1), return_counts=True)
    assert frequency(values, counts) == pytest.approx(share, abs=0.002)


def test_words_for_what_is_shown() -> None:
    what = said(upper=["yellow"], lower=["black"], having=["cane"], without=["hat"])
    shown = seen(upper_colours__yellow=1.5, upper_colours__red=-2, aid__none=4.0, aid__cane=-3.0, hat=0.1)
    texts = [each.text for each in shown_by(what, shown[0])]
    assert texts == [
        "upper yellow: likely (0.82)", "lower black: unknown", "cane: unlikely (0.01)",
        "without hat: unsure (0.47)",
    ]  # fmt: skip
    assert [each.text_ko for each in shown_by(what, shown[0])][:2] == [
        "상의 노랑: 그런 듯함 (0.82)", "하의 검정: 알 수 없음"
    ]  # fmt: skip
