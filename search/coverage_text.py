"""What a search covered, in words of both languages, as the parts of a bar and as JSON.

Owns the wording that keeps 'nothing found' from being read as 'was not there'. Knows no page and no terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexer.coverage import REASONS, Coverage, Missing
from indexer.times import from_milliseconds, to_local_iso
from search.wording import camera_time, camera_time_ko, percent, percent_ko

SEARCHED = "searched"
WORDS_KO = {
    SEARCHED: "검색함",
    "no footage": "영상 없음",
    "not yet indexed": "아직 색인하지 않은 영상",
    "failed clip": "읽지 못한 영상",
    "quarantined segment": "격리된 색인",
    "damaged segment": "손상된 색인",
    "erased": "요청으로 삭제된 기록",
    "expired": "보관 기간이 지난 기록",
    "clock uncertain": "카메라 시계 오차",
    "no camera in district": "등록된 카메라 없는 구",
    "unknown camera": "등록되지 않은 카메라",
    "camera without a place": "위치를 모르는 카메라",
}
"""Of every word of coverage."""

_LITTLE = 0.5  # a smaller share searched is the first thing to know of an answer
_LIKELY = 0.5  # expected right sightings below which, likelier than not, none is right
_THINNEST = 0.006  # of a bar: what is there at all must be seen

_ALL_SEARCHED = (
    "All of the asked camera time was searched, but whoever is turned away, hidden or far off can be missed."
)
_ALL_SEARCHED_KO = (
    "요청한 카메라 시간을 모두 검색했지만, 등을 돌렸거나 가려졌거나 멀리 있는 사람은 놓칠 수 있습니다."
)


@dataclass(frozen=True)
class Verdict:
    """What an answer says, and of what it says nothing.

    Attributes:
        english, korean: the same sentences.
        is_urgent: so little was searched that nothing may be more prominent.
    """

    english: str
    korean: str
    is_urgent: bool


@dataclass(frozen=True)
class BarPart:
    """A part of a bar of all asked camera-time.

    Attributes:
        word: `SEARCHED` or a reason; `korean`: the same.
        camera_hours: how much.
        x, width: 0..1 of the bar; small parts are drawn wider than they are.
    """

    word: str
    korean: str
    camera_hours: float
    x: float
    width: float

    @property
    def slug(self) -> str:
        """The word as part of an identifier."""
        return self.word.replace(" ", "-")


def amount(gap: Missing) -> str:
    """How much is missing for a reason."""
    if gap.camera_hours is None:
        return "length unknown"
    more = f" and {gap.unmeasured:,} of unknown length" if gap.unmeasured else ""
    return camera_time(gap.camera_hours) + more


def amount_ko(gap: Missing) -> str:
    """The same in Korean."""
    if gap.camera_hours is None:
        return "길이 알 수 없음"
    more = f" 및 길이를 알 수 없는 영상 {gap.unmeasured:,}개" if gap.unmeasured else ""
    return camera_time_ko(gap.camera_hours) + more


def verdict(coverage: Coverage, shown: int, expected_right: float | None) -> Verdict | None:
    """What must be said where nothing was found or little was searched; None where sightings that may show
    the person are shown and at least half was searched.

    Args:
        shown: how many sightings.
        expected_right: how many of them show the person by the calibration; None without one.
    """
    found, found_ko = _finding(shown, expected_right)
    share, asked = coverage.searched_share, coverage.asked_camera_hours
    if shown and not asked:
        return None  # single frames: sightings without any length
    if not share and not shown:
        return Verdict(
            "NOTHING of what was asked was searched. This answer says nothing about where the person was.",
            "요청한 범위에서 검색된 것이 없습니다. 이 결과로는 찾는 사람이 있었는지 전혀 알 수 없습니다.",
            True,
        )
    rest = f"says nothing of the rest ({percent(1 - share)}), where the person may have been."
    rest_ko = f"검색하지 못한 나머지({percent_ko(1 - share)})에 대해서는 아무것도 알 수 없으며,"
    rest_ko += " 찾는 사람이 그곳에 있었을 수 있습니다."
    if share < _LITTLE:
        what = f"{found}; this" if found else "This list"
        return Verdict(
            f"ONLY {percent(share)} of the asked camera time was searched. {what} {rest}",
            f"검색한 것은 요청한 카메라 시간의 {percent_ko(share)}뿐입니다. {found_ko}{rest_ko}",
            True,
        )
    if not found:
        return None
    if not coverage.missing:
        left, left_ko = _ALL_SEARCHED, _ALL_SEARCHED_KO
    elif share == 1:
        reasons = [gap.reason for gap in coverage.missing]
        left = f"This says nothing of what could not be searched: {', '.join(reasons)}."
        left_ko = f"검색하지 못한 것({', '.join(WORDS_KO[reason] for reason in reasons)})에 대해서는 아무것도"
        left_ko += " 알 수 없습니다."
    else:
        left = f"Of the asked camera time {percent(share)} was searched; this {rest}"
        left_ko = f"요청한 카메라 시간의 {percent_ko(share)}를 검색했습니다. {rest_ko}"
    return Verdict(f"{found}. {left}", found_ko + left_ko, False)


def _finding(shown: int, expected_right: float | None) -> tuple[str, str]:
    """What was found, in English and Korean; empty where a sighting may show the person."""
    if not shown:
        return "No sighting", "후보가 없습니다. "
    if expected_right is not None and expected_right < _LIKELY:
        return (
            "Likelier than not, no sighting listed shows the person",
            "목록의 후보 중에는 찾는 사람이 없을 가능성이 더 큽니다. ",
        )
    return "", ""


def bar(coverage: Coverage) -> list[BarPart]:
    """The asked camera-time, what was searched first, then what is missing, the largest first."""
    hours = [(SEARCHED, coverage.searched_camera_hours)]
    hours += [
        (gap.reason, gap.camera_hours)
        for gap in coverage.missing if gap.camera_hours and gap.reason in REASONS
    ]  # fmt: skip
    hours = [(word, amount) for word, amount in hours if amount]
    asked = coverage.asked_camera_hours
    widths = [max(amount / asked, _THINNEST) for _, amount in hours]
    edges = _running([width / sum(widths) for width in widths])
    return [
        BarPart(word, WORDS_KO[word], amount, low, high - low)
        for (word, amount), low, high in zip(hours, edges, edges[1:], strict=False)
    ]


def _running(widths: Sequence[float]) -> list[float]:
    edges = [0.0]
    for width in widths:
        edges.append(edges[-1] + width)
    return edges


def coverage_json(coverage: Coverage) -> dict[str, Any]:
    """`coverage` of `reid search --json`; see docs/contracts.md."""
    return {
        "since": to_local_iso(from_milliseconds(coverage.since_ms)),
        "until": to_local_iso(from_milliseconds(coverage.until_ms)),
        "cameras": coverage.cameras,
        "asked_camera_hours": round(coverage.asked_camera_hours, 5),
        "searched_camera_hours": round(coverage.searched_camera_hours, 5),
        "missing": [
            {
                "reason": gap.reason,
                "camera_hours": None if gap.camera_hours is None else round(gap.camera_hours, 5),
                "where": list(gap.where),
                "unmeasured": gap.unmeasured,
            }
            for gap in coverage.missing
        ],
        "by_camera": [
            {
                "district": each.district,
                "camera": each.camera,
                "asked_camera_hours": round(each.asked_camera_hours, 5),
                "searched_camera_hours": round(each.searched_camera_hours, 5),
                "missing": [
                    {"reason": reason, "camera_hours": round(hours, 5)} for reason, hours in each.missing
                ],
            }
            for each in coverage.by_camera
        ],
    }
