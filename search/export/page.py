"""The page of an export: one HTML file to read and print, pictures inside, links to the files beside it."""

from __future__ import annotations

from pathlib import Path

from search.export import notes
from search.export.manifest import Export, Seal, iso, software
from search.export.media import Exhibit
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
            "local_time": local_time, "uncertainty": uncertainty,
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
    """Local times of the cut, `14:02:08 – 14:02:19`."""
    cut, record = exhibit.cut, exhibit.sighting.record
    if cut is None:
        return ""
    zero_ms = record.best_ms - record.best_offset_s * 1000
    first, last = (local_time(round(zero_ms + edge * 1000))[11:] for edge in (cut.start_s, cut.end_s))
    return f"{first} – {last}"
