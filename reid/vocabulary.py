"""What people call the answers of `reid.attributes`, in English and Korean, and how a word is looked up.

A word may mean several answers, any of which fits: navy is seen as blue or as black.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from reid.description import KOREAN
from reid.errors import UnknownNameError

Answers = tuple[str, ...]
"""Any of which fits; each as `group/answer`, a colour by its term alone. `not ` before one denies it."""


def _table(rows: Mapping[str, str]) -> Mapping[str, Answers]:
    """By word its answers, from answers (parted by `|`) and the words for them (parted by commas)."""
    found: dict[str, Answers] = {}
    for row, words in rows.items():
        answers = tuple(row.split("|"))
        name = row.split("/")[-1]
        own = (name, KOREAN[name]) if len(answers) == 1 and not row.startswith("not ") else ()
        for word in (*own, *words.split(",")):
            if word.strip():
                found[word.strip()] = answers
    return found


COLOUR_WORDS = _table({
    "black": "검은, 검은색, 검정색, 까만, 까망, 까만색, 흑색", "grey": "gray, silver, 쥐색, 은색, 잿빛",
    "white": "흰, 하얀, 하양, 하얀색, 백색, ivory, 아이보리", "red": "빨간, 빨간색, 붉은, 붉은색, 적색",
    "orange": "주황색, 오렌지", "yellow": "노란, 노란색, 황색", "green": "초록색, 녹색, 풀색, lime",
    "blue": "파란, 파란색, 푸른, 청색, 하늘색, sky blue, denim", "purple": "violet, 보라색, 퍼플",
    "pink": "핑크, 분홍색", "brown": "밤색, 고동색, 브라운",
    "blue|black": "navy, navy blue, 남색, 곤색, 네이비", "white|brown": "beige, cream, 베이지, 크림색",
    "green|brown": "khaki, olive, 카키, 카키색, 국방색", "green|yellow": "연두, 연두색",
    "red|purple": "wine, burgundy, 와인색, 자주색, 자주",
})  # fmt: skip
"""A colour of clothes -> terms of `reid.attributes.COLOURS`."""

AGE_WORDS = _table({
    "age_group/child": "kid, children, 아이, 아동, 소년, 소녀, 꼬마", "age_group/adult": "어른",
    "age_group/elder": "elderly, old, senior, 어르신, 할머니, 할아버지, 고령",
})  # fmt: skip

THING_WORDS = _table({
    "hat/hat": "cap, beanie, 캡, 야구모자, 비니", "face/glasses or mask": "glasses, mask, 안경, 마스크",
    "backpack/backpack": "rucksack, 백팩, 책가방", "bag/bag": "handbag, 핸드백, 손가방, 쇼핑백",
    "bag/bag|backpack/backpack": "가방", "umbrella/umbrella": "parasol, 양산",
    "aid/cane": "stick, walking stick", "aid/walking frame": "walker, rollator, 워커, 실버카",
    "aid/wheelchair": "", "aid/stroller": "pram, buggy, pushchair",
    "coat/coat": "코트, 롱패딩, long padded coat",
    "lower/trousers": "pants, jeans, 긴바지, 청바지", "lower/shorts": "", "lower/skirt": "스커트",
    "lower/dress": "드레스", "sleeves/long": "long sleeves, 긴팔",
    "not sleeves/long": "short sleeves, 반팔, 반소매, 짧은소매",
    "upper_pattern/plain": "무지", "upper_pattern/striped": "stripes, 스트라이프",
    "upper_pattern/checked": "tartan, 체크무늬, 격자무늬", "upper_pattern/printed": "print, 프린트",
})  # fmt: skip
"""Something worn or carried."""


def look_up(kind: str, texts: Iterable[str], known: Mapping[str, Answers]) -> tuple[Answers, ...]:
    """The answers of each word; a text may hold several, parted by commas.

    Args:
        kind: of word, for the message.

    Raises:
        UnknownNameError: no such word; suggests the nearest.
    """
    return tuple(_find(kind, word, known) for text in texts for word in text.split(","))


def _find(kind: str, word: str, known: Mapping[str, Answers]) -> Answers:
    spelled = " ".join(unicodedata.normalize("NFC", word).lower().split())  # some systems part the syllables
    for each in (spelled, spelled.replace(" ", "")):
        if each in known:
            return known[each]
    error = UnknownNameError(kind, word.strip(), known)
    if not error.suggestions:  # then the plain terms are told, not every word for them
        plain = [each for each, answers in known.items() if answers[0].split("/")[-1] == each]
        error = UnknownNameError(kind, word.strip(), plain)
    raise error
