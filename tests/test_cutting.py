"""Cuts of clips: what is copied is the packets of the original, at the times of the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from indexer.cutting import Cut, cut_clip
from indexer.frame import Frame
from indexer.video import open_clip
from reid.errors import FootageError
from reid.images import Picture
from tests.clips import number_of, write_clip
from tests.test_video import KINDS

# every container and codec that is copied; H.265 and B-frames in Matroska have packets without decoding times
COPIED: dict[str, dict[str, Any]] = {
    **KINDS,
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": "log-level=0:keyint=10"}},
    "b-frames.mkv": {"options": {"bf": "3", "preset": "medium"}},
    "open-gop.mp4": {"options": {"bf": "3", "preset": "medium", "x264-params": "open-gop=1:keyint=10"}},
    "turned.mp4": {"rotation": 90},
}


def frames_of(path: Path) -> list[Frame]:
    with open_clip(path) as clip:
        return list(clip.frames())


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def shown_as_in_the_original(cut: Cut, original: list[Frame]) -> None:
    """Each frame of the cut is the one that the original shows at that time."""
    for frame in frames_of(cut.path):
        at_s = cut.start_s + frame.time_s
        same = min(original, key=lambda each: abs(each.time_s - at_s))
        assert same.time_s == pytest.approx(at_s, abs=0.002)
        assert np.abs(same.picture.astype(int) - frame.picture).mean() < 8


@pytest.mark.parametrize("name", COPIED)
def test_a_copy_begins_with_the_key_frame_before_and_keeps_the_packets(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, 60, 10, **COPIED[name])
    cut = cut_clip(path, tmp_path / "cut", 2.35, 4.15)
    assert cut.copied
    assert cut.reason == ""
    assert 1.1 < cut.start_s <= 2.35
    assert 4.09 < cut.end_s < 4.6
    original = frames_of(path)
    shown_as_in_the_original(cut, original)
    if name != "turned.mp4":
        assert number_of(frames_of(cut.path)[0].picture) == round(cut.start_s * 10)
    # Those that seeking shows: MPEG-TS and MP4 frame the same packets differently.
    if Path(name).suffix in (".mp4", ".mov", ".mkv") and cut.path.suffix == ".mp4":
        theirs, ours = packets_of(path), packets_of(cut.path)
        begin = theirs.index(ours[0])
        assert [packet for packet in theirs[begin : begin + len(ours) + 8] if packet in ours] == ours


def test_a_codec_that_mp4_does_not_take_goes_into_matroska(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "jpegs.avi", 30, 10, codec="mjpeg")
    cut = cut_clip(path, tmp_path / "cut", 1.0, 2.0)
    assert (cut.path.suffix, cut.codec, cut.copied) == (".mkv", "mjpeg", True)
    assert packets_of(cut.path) == packets_of(path)[10:21]


@pytest.mark.parametrize(("start_s", "end_s"), [(-3.0, 0.5), (5.5, 99.0), (-3.0, 99.0)])
def test_a_stretch_may_go_over_the_ends(tmp_path: Path, start_s: float, end_s: float) -> None:
    path = write_clip(tmp_path / "a.mp4", 60, 10)
    cut = cut_clip(path, tmp_path / "cut", start_s, end_s)
    assert cut.start_s <= max(0.0, start_s)
    assert cut.end_s == pytest.approx(min(end_s, 5.9))


def test_a_stream_without_times_is_encoded_anew_and_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "raw.h264", 60, 10)
    cut = cut_clip(path, tmp_path / "cut", 2.35, 4.15)
    assert (cut.copied, cut.path.name, cut.codec) == (False, "cut.mp4", "h264")
    assert "key frame" in cut.reason
    assert [number_of(frame.picture) for frame in frames_of(cut.path)] == list(range(24, 42))
    assert not list(tmp_path.glob("cut.mkv"))


def test_changed_pictures_are_encoded_with_odd_sides_filled_up(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "odd.mkv", 20, 10, size=(161, 97), options={"x264-params": "log-level=0"},
                      codec="mpeg4")  # fmt: skip

    def darker(frame: Frame) -> Picture:
        return np.asarray(frame.picture // 2, np.uint8)

    cut = cut_clip(path, tmp_path / "cut", 0.5, 1.0, darker)
    shown = frames_of(cut.path)
    assert (cut.copied, cut.frames, len(shown)) == (False, 6, 6)
    assert shown[0].picture.shape == (98, 162, 3)
    assert shown[0].picture.mean() < 0.6 * frames_of(path)[5].picture.mean()


def test_from_start_reads_the_clip_from_its_beginning(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 30, 10)
    cut = cut_clip(path, tmp_path / "cut", 1.0, 2.0, from_start=True)
    assert not cut.copied
    assert "timestamps" in cut.reason
    assert [number_of(frame.picture) for frame in frames_of(cut.path)] == list(range(10, 21))


def test_a_stretch_behind_the_end_leaves_nothing(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 20, 10)
    with pytest.raises(FootageError, match="no frame"):
        cut_clip(path, tmp_path / "cut", 50.0, 60.0)
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_times_that_do_not_fit_the_pictures_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container whose packets seem later than the frames they hold: the copy would show another moment."""
    path = write_clip(tmp_path / "a.mp4", 60, 10)
    real = open_clip

    def shifted(source: Path) -> Any:
        clip = real(source)
        if source.name == "a.mp4":
            shown = clip.frame_at
            monkeypatch.setattr(clip, "frame_at", lambda time_s: shown(time_s + 1.0))
        return clip

    monkeypatch.setattr("indexer.cutting.open_clip", shifted)
    cut = cut_clip(path, tmp_path / "cut", 2.0, 4.0)
    assert not cut.copied
    assert "times" in cut.reason
