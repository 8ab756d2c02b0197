"""What somebody says of a person, and how well each tracklet fits it.

Owns the reading of words and the evidence "description". What the pictures say is stored with each tracklet
(`indexer.clothes`): for each answer the log of how much likelier they are where it is true. What they cannot
tell is 0 and speaks for nobody and against nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.clothes import from_stored, ratios_from_stored
from indexer.shard.records import Attributes
from reid.attributes import BY_NAME, Group
from reid.description import KOREAN
from reid.errors import InputError
from reid.vocabulary import AGE_WORDS, COLOUR_WORDS, THING_WORDS, look_up
from search.evidence import Evidence
from search.travel import AgeGroup

DESCRIPTION = "description"
DOUBT = 0.1
"""How often what is said of one thing is of no use: the caller errs, or names a colour otherwise than others
do (assumption). So one thing speaks at most 2.2 nats for somebody or against them."""

AGE_GROUPS: tuple[AgeGroup, ...] = ("child", "adult", "elder")

_COMMON = {"aid": "none", "age_group": "adult", "lower": "trousers", "upper_pattern": "plain",
           "lower_pattern": "plain"}  # fmt: skip
_COMMON_SHARE = 0.8  # of these answers among those to whom another does not apply; assumption
_ROUNDS = 60  # of expectation and maximization
_LIKELY = 0.65  # as `reid.description`: below it an answer of two is no answer
_PLACES = {"upper_colours": ("upper", "상의"), "lower_colours": ("lower", "하의")}

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Asked:
    """One thing that is said of a person.

    Attributes:
        answers: (group, answer) of `reid.attributes`, any of which fits.
        holds: False when it is denied.
    """

    answers: tuple[tuple[str, str], ...]
    holds: bool = True

    @property
    def word(self) -> str:
        """For people: `upper yellow or black`, `without cane`."""
        return self._worded(0, " or ", "without {}")

    @property
    def word_ko(self) -> str:
        """The same in Korean."""
        return self._worded(1, " 또는 ", "{} 없음")

    def _worded(self, language: int, between: str, denied: str) -> str:
        names = between.join((answer, KOREAN[answer])[language] for _, answer in self.answers)
        group = self.answers[0][0]
        if group in _PLACES:
            return f"{_PLACES[group][language]} {names}"
        if group == "sleeves":
            return (
                ("short sleeves", "짧은소매")[language]
                if not self.holds
                else ("long sleeves", "긴소매")[language]
            )
        return names if self.holds else denied.format(names)

    def log_ratios(self, attributes: Attributes) -> tuple[F64, Bools]:
        """(N,) log of the likelihood ratio by the pictures alone, and whether they can tell at all.

        Args:
            attributes: (N, COLUMNS) int8 as stored.
        """
        ratios, told = zip(*(_of_answer(attributes, *each) for each in self.answers), strict=True)
        together = np.asarray(np.logaddexp.reduce(ratios, axis=0) - np.log(len(ratios)), np.float64)
        return together if self.holds else -together, np.logical_or.reduce(told)


@dataclass(frozen=True)
class Description:
    """All that is said of a person, at least one thing."""

    asked: tuple[Asked, ...]

    def told(self, attributes: Attributes) -> tuple[F64, Bools]:
        """(A, N) log ratios of each thing by the pictures alone, and which can be told at all.

        Args:
            attributes: (N, COLUMNS) int8 as stored.
        """
        each = [asked.log_ratios(attributes) for asked in self.asked]
        return np.stack([ratios for ratios, _ in each]), np.stack([told for _, told in each])

    @property
    def age(self) -> AgeGroup | None:
        """The age group, if it is said."""
        told = {asked.answers[0] for asked in self.asked if asked.holds}
        return next((group for group in AGE_GROUPS if ("age_group", group) in told), None)

    def colours(self, group: str) -> tuple[str, ...]:
        """The colours asked of "upper_colours" or "lower_colours"."""
        return tuple(
            answer for asked in self.asked for name, answer in asked.answers if name == group and asked.holds
        )


@dataclass(frozen=True)
class Shown:
    """What a tracklet shows of one thing that was said.

    Attributes:
        asked: the thing.
        chance: that it is so, if it were as frequent as not; None where the pictures cannot tell.
    """

    asked: Asked
    chance: float | None

    @property
    def verdict(self) -> str:
        """`likely`, `unlikely`, `unsure` or `unknown`; unknown is never a 'no'."""
        if self.chance is None:
            return "unknown"
        if self.chance >= _LIKELY:
            return "likely"
        return "unlikely" if self.chance <= 1 - _LIKELY else "unsure"

    @property
    def text(self) -> str:
        """`upper yellow: likely (0.83)`."""
        return f"{self.asked.word}: {self.verdict}{self._figure}"

    @property
    def text_ko(self) -> str:
        """The same in Korean."""
        return f"{self.asked.word_ko}: {_VERDICTS_KO[self.verdict]}{self._figure}"

    @property
    def _figure(self) -> str:
        return "" if self.chance is None else f" ({min(max(self.chance, 0.01), 0.99):.2f})"


_VERDICTS_KO = {
    "likely": "그런 듯함", "unlikely": "아닌 듯함", "unsure": "불확실", "unknown": "알 수 없음",
}  # fmt: skip


def read_description(
    upper: Sequence[str] = (), lower: Sequence[str] = (), age: Sequence[str] = (), having: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Description | None:  # fmt: skip
    """Read what somebody typed, in English or Korean; None when nothing was.

    Args:
        upper, lower: colours of the clothes, any of which they may have.
        age: at most one group. having: things worn or carried, all of them. without: none of them.

    Raises:
        UnknownNameError: a word nobody knows; suggests the nearest.
        InputError: what contradicts itself.
    """
    asked = []
    for group, words in (("upper_colours", upper), ("lower_colours", lower)):
        colours = [each for meant in look_up("colour", words, COLOUR_WORDS) for each in meant]
        if colours:
            asked.append(Asked(tuple((group, each) for each in dict.fromkeys(colours))))
    asked += [_asked(meant, True) for meant in look_up("age group", age, AGE_WORDS)]
    asked += [_asked(meant, True) for meant in look_up("thing worn or carried", having, THING_WORDS)]
    asked += [_asked(meant, False) for meant in look_up("thing worn or carried", without, THING_WORDS)]
    asked = list(dict.fromkeys(asked))
    _check(asked)
    return Description(tuple(asked)) if asked else None


def _asked(meant: Sequence[str], holds: bool) -> Asked:
    denied = meant[0].startswith("not ")
    parts = (each.removeprefix("not ").partition("/") for each in meant)
    return Asked(tuple((group, answer) for group, _, answer in parts), holds != denied)


def _check(asked: Sequence[Asked]) -> None:
    """Refuse what no person can be.

    Raises:
        InputError: says what.
    """
    for number, one in enumerate(asked):
        for other in asked[number + 1 :]:
            both = set(one.answers) & set(other.answers)
            if both and one.holds != other.holds:
                raise InputError(
                    f"{one.word} ({one.word_ko}) and {other.word} ({other.word_ko}) contradict each other;"
                    " leave one out"
                )
            group = BY_NAME[one.answers[0][0]]
            if group.kind == "one" and one.holds and other.holds and other.answers[0][0] == group.name:
                raise InputError(
                    f"{one.word} ({one.word_ko}) and {other.word} ({other.word_ko}): expected one of"
                    f" {', '.join(group.answers)}; leave one out"
                )


def description(said: Description, attributes: Attributes, shares: Sequence[float] | None = None) -> Evidence:
    """How well each of N tracklets, at least one, fits what was said.

    Args:
        attributes: (N, COLUMNS) int8 as stored.
        shares: (A,) how frequent each thing is in scope; None: as frequent as among these.
    """
    ratios, told = said.told(attributes)
    if shares is None:
        shares = [
            frequency(row[known], np.ones(known.sum())) for row, known in zip(ratios, told, strict=True)
        ]
    return Evidence(DESCRIPTION, weighed(ratios, told, shares))


def frequency(ratios: F64, counts: NDArray[np.floating | np.integer]) -> float:
    """How frequent something is among tracklets of which it is not known, by what their pictures say.

    The share that makes what is seen likeliest, by expectation and maximization (Saerens et al. 2002), as if
    it had been true of one tracklet more and false of another.

    Args:
        ratios: (B,) log ratios. counts: (B,) how many tracklets have each.
    """
    odds, share = np.exp(ratios), 0.5
    for _ in range(_ROUNDS):
        true = share * odds / (share * odds + 1 - share)
        share = float((true @ counts + 1) / (counts.sum() + 2))
    return share


def weighed(ratios: F64, told: Bools, shares: Sequence[float]) -> F64:
    """(N,) log of how much likelier a tracklet's pictures are if it shows the person than if anybody.

    What everybody wears says little: a ratio r of true against false is one of r / (p r + 1 - p) against
    anybody where p of them have it. Among tracklets that look like the photo, p is what likeness has made it,
    so that what the photo shows already is not counted twice.

    Args:
        ratios, told: (A, N), see `Description.told`. shares: (A,) of `frequency`.
    """
    share = np.array(shares)[:, None]
    against_anybody = ratios - np.log(share * np.exp(ratios) + 1 - share)
    return np.asarray(np.where(told, _doubted(against_anybody), 0.0).sum(axis=0), np.float64)


def shown_by(said: Description, attributes: Attributes) -> tuple[Shown, ...]:
    """What one tracklet, (COLUMNS,) int8, shows of each thing."""
    found = []
    for asked in said.asked:
        ratios, told = asked.log_ratios(attributes[None])
        found.append(Shown(asked, float(1 / (1 + np.exp(-ratios[0]))) if told[0] else None))
    return tuple(found)


def _of_answer(attributes: Attributes, name: str, answer: str) -> tuple[F64, Bools]:
    """(N,) how much likelier the pictures are where the answer is true, and whether they can tell."""
    group = BY_NAME[name]
    stored = np.ascontiguousarray(attributes[:, group.columns].T)  # along N it is many times as fast
    place = group.answers.index(answer)
    told = np.asarray(stored.any(axis=0), np.bool_)
    ratios = from_stored(stored[place]).astype(np.float64)
    if group.kind == "any":
        return ratios, told
    others = ratios_from_stored(np.delete(stored, place, axis=0))
    return np.asarray(ratios - np.log(_shares(group, answer) @ others)), told


def _shares(group: Group, answer: str) -> F64:
    """(A - 1,) how frequent the other answers are among those of whom this one is not true."""
    others = [each for each in group.answers if each != answer]
    common = _COMMON.get(group.name)
    if common is None or common not in others:
        return np.full(len(others), 1 / len(others))
    rest = (1 - _COMMON_SHARE) / max(1, len(others) - 1)
    shares = np.array([_COMMON_SHARE if each == common else rest for each in others])
    return np.asarray(shares / shares.sum())


def _doubted(ratios: F64) -> F64:
    """The log ratios where in `DOUBT` of all cases what was said says nothing; between -2.2 and 2.2."""
    chance = 1 / (1 + np.exp(-ratios))
    doubted = DOUBT + (1 - 2 * DOUBT) * chance
    return np.asarray(np.log(doubted / (1 - doubted)))
