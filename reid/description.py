"""What can be said of somebody from one crop, and what cannot.

A network gives evidence: for each answer the log of how much likelier this crop is where the answer is true
(see `reid.attributes`). Here it becomes statements with a confidence: the probability if true and false were
equally frequent (for single answers: all answers), for nobody knows how many hats there are where a camera
hangs. What a crop cannot show is unknown, and unknown is never a 'no'. Owns statements and their words;
knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reid.attributes import BY_NAME, COLUMNS, GROUPS, LEAST_HEIGHTS, Group
from reid.images import Picture

Why = Literal["no colour in the picture", "too dark", "too small", "unsure", "not told by this model"]

_COLOUR_GROUPS = ("upper_colours", "lower_colours")
_SURE = 0.65  # below this confidence an answer of two is no answer
_SURE_OF_MANY = 0.6  # the same for one of several
_SURE_OF_COLOUR = 0.4  # and for one of eleven colours, whose neighbours are hard to tell
_SECOND = 0.3  # a second colour is said from this confidence on
_GREY, _DARK = 7.0, 28.0  # of 255: mean difference of the channels, and the brightest tenth of a crop


@dataclass(frozen=True)
class Statement:
    """What a crop shows of one thing.

    Attributes:
        name: of the group in `reid.attributes.GROUPS`.
        said: the answers that are taken to be true, likeliest first; empty for none of them, and when
            unknown.
        confidence: of the first answer, or of there being none, 0..1; 0 when unknown.
        unknown: why nothing can be said; None when something is.
    """

    name: str
    said: tuple[str, ...]
    confidence: float
    unknown: Why | None = None


def describe(logits: NDArray[np.float32], crop: Picture) -> tuple[Statement, ...]:
    """A statement for each group.

    Args:
        logits: (COLUMNS,) of `Embedder.attributes`.
        crop: (H, W, 3) uint8 BGR, of the size it had in its picture.

    Raises:
        ValueError: another number of logits.
    """
    if logits.shape != (COLUMNS,):
        raise ValueError(f"expected ({COLUMNS},) logits, got {logits.shape}")
    lost = _lost(crop)
    return tuple(_statement(group, logits[group.columns].astype(np.float64), lost) for group in GROUPS)


def evidence(logits: NDArray[np.float32], crop: Picture) -> NDArray[np.float32]:
    """(COLUMNS,) the logits, with 0, which says nothing, for what this picture cannot show; as `describe`."""
    told = logits.copy()
    for name in _lost(crop):
        told[BY_NAME[name].columns] = 0
    return told


def statements(told: NDArray[np.float32]) -> tuple[Statement, ...]:
    """A statement for each group from (COLUMNS,) evidence; 0 is unknown."""
    return tuple(_statement(group, told[group.columns].astype(np.float64), {}) for group in GROUPS)


def _lost(crop: Picture) -> dict[str, Why]:
    """What the picture itself cannot show."""
    lost: dict[str, Why] = {}
    for name, least in LEAST_HEIGHTS.items():
        if crop.shape[0] < least:
            lost[name] = "too small"
    values = crop.reshape(-1, 3).astype(np.int16)
    if np.quantile(values.max(axis=1), 0.9) < _DARK:
        return lost | dict.fromkeys(_COLOUR_GROUPS, "too dark")
    if (values.max(axis=1) - values.min(axis=1)).mean() < _GREY:
        return lost | dict.fromkeys(_COLOUR_GROUPS, "no colour in the picture")
    return lost


def _statement(group: Group, logits: NDArray[np.float64], lost: dict[str, Why]) -> Statement:
    if not logits.any():
        return Statement(group.name, (), 0.0, "not told by this model")
    if group.name in lost:
        return Statement(group.name, (), 0.0, lost[group.name])
    if len(group.answers) == 1:
        chance = float(1 / (1 + np.exp(-logits[0])))
        sure = max(chance, 1 - chance)
        said = group.answers if chance > 0.5 else ()
        return Statement(group.name, said, sure) if sure >= _SURE else _unsure(group)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    order = np.argsort(-chances, kind="stable")
    if chances[order[0]] < (_SURE_OF_COLOUR if group.kind == "any" else _SURE_OF_MANY):
        return _unsure(group)
    more = [k for k in order[1:2] if group.kind == "any" and chances[k] >= _SECOND]
    said = tuple(group.answers[k] for k in (order[0], *more))
    return Statement(group.name, said, float(chances[order[0]]))


def _unsure(group: Group) -> Statement:
    return Statement(group.name, (), 0.0, "unsure")


KOREAN = {
    "upper_colours": "상의 색", "lower_colours": "하의 색", "sleeves": "소매", "lower": "하의",
    "coat": "외투", "upper_pattern": "상의 무늬", "lower_pattern": "하의 무늬", "hat": "모자", "face": "얼굴",
    "backpack": "배낭", "bag": "가방", "umbrella": "우산", "aid": "보조 기구",
    "age_group": "연령대", "gender": "성별 표현",
    "black": "검정", "grey": "회색", "white": "흰색", "red": "빨강", "orange": "주황", "yellow": "노랑",
    "green": "초록", "blue": "파랑", "purple": "보라", "pink": "분홍", "brown": "갈색",
    "long": "긴소매", "trousers": "바지", "shorts": "반바지", "skirt": "치마", "dress": "원피스",
    "plain": "민무늬", "striped": "줄무늬", "checked": "체크", "printed": "그림무늬",
    "glasses or mask": "안경 또는 마스크", "none": "없음", "cane": "지팡이", "walking frame": "보행기",
    "wheelchair": "휠체어", "stroller": "유모차", "child": "어린이", "adult": "성인", "elder": "노인",
    "male": "남성", "not": "아님", "unknown": "알 수 없음",
    "no colour in the picture": "색이 없는 화면", "too dark": "너무 어두움", "too small": "너무 작음",
    "unsure": "불확실", "not told by this model": "이 모델은 알려 주지 않음",
}  # fmt: skip
"""Korean for every name, answer and reason."""


def words(statement: Statement) -> list[str]:
    """A statement for people: name and answers, each in English and Korean, and the confidence."""
    said = statement.said or (("unknown", statement.unknown) if statement.unknown else ("none",))
    answers = [", ".join(said), ", ".join(KOREAN[word] for word in said)]
    name = statement.name
    return [name.replace("_", " "), KOREAN[name], *answers, f"{statement.confidence:.2f}"]
