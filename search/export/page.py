"""The page of an export: one HTML file to read and print, pictures inside, links to the files beside it."""

from __future__ import annotations

from pathlib import Path

from search.export import notes
from search.export.manifest import Export, iso, software
from search.export.media import Exhibit
from search.export.seals import Seal
from search.pages import render
from search.wording import local_time

_KINDS = {
    "person": "person 인물",
    "still": "still 정지 화면",
    "still_with_box": "still with box 대상자 표시",
    "clip": "clip 영상",
}


def page_html(export: Export, seals: dict[str, Seal]) -> str:
    """The page; `seals` of the media, by name. No script, nothing loaded from anywhere."""
    return render(
        "evidence.html.j2",
        {
            "local_time": local_time, "uncertainty": uncertainty, "span": span,
            "file_name": lambda path: Path(path).name, "iso": iso,
        },
        export=export,
        seals=seals,
        kinds=_KINDS,
        caution=notes.CAUTION,
        blurring=notes.BLURRING if export.blur_detector else None,
        software=software(),
        cut_times=_cut_times,
    )  # fmt: skip


def uncertainty(seconds: float | None) -> str:
    """`± 2 s`, or that nobody knows, in both languages."""
    return "± unknown · 오차 알 수 없음" if seconds is None else f"± {seconds:g} s"


def _cut_times(exhibit: Exhibit) -> str:
    """Local times of the cut."""
    cut, record = exhibit.cut, exhibit.sighting.record
    if cut is None:
        return ""
    zero_ms = record.best_ms - record.best_offset_s * 1000
    return span(round(zero_ms + cut.start_s * 1000), round(zero_ms + cut.end_s * 1000))


def span(start_ms: int, end_ms: int) -> str:
    """`2025-11-03 14:02:08 – 14:02:19`; the day once more when the end is on another."""
    first, last = local_time(start_ms), local_time(end_ms)
    return f"{first} – {last[11:] if last[:10] == first[:10] else last}"
