from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.frame import Frame
from indexer.timeline import Timeline
from indexer.video import Clip, ReadReport, clip_start, open_clip
from reid.errors import FootageError, InputError
from tests.clips import HEIGHT, WIDTH, cut, flip_bytes, number_of, picture, write_audio, write_clip

FASTSTART = {"movflags": "faststart"}
B_FRAMES = {"bf": "3", "tune": "film", "preset": "medium"}
SHARED = Path(__file__).parents[2] / "shared"

# every container and codec that must give the same frames at the same times
KINDS: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "b-frames.mp4": {"options": B_FRAMES},
    "late.mp4": {"start_s": 5.0},
    "late.ts": {"start_s": 5.0},
    "late.mkv": {"start_s": 5.0},
    "b-frames.ts": {"options": B_FRAMES},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "jpegs.avi": {"codec": "mjpeg"},
    "flash.flv": {},
    "송파 정문.mov": {},
}


def read(path: Path, rate: float | None = None, start_s: float = 0.0) -> tuple[list[Frame], ReadReport]:
    with open_clip(path) as clip:
        return list(clip.frames(rate, start_s)), clip.report()


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.picture) for frame in frames]


@pytest.mark.parametrize("name", KINDS)
def test_frames_times_and_seeking_are_exact(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, 60, 10, **KINDS[name])
    with open_clip(path) as clip:
        assert (clip.width, clip.height) == (WIDTH, HEIGHT)
        assert clip.average_rate == pytest.approx(10, rel=0.02)
        frames = list(clip.frames())
        report = clip.report()
        assert numbers(frames) == list(range(60))
        assert [frame.index for frame in frames] == list(range(60))
        assert [frame.time_s for frame in frames] == pytest.approx([n / 10 for n in range(60)], abs=1e-3)
        assert report == ReadReport(frames_decoded=60, last_time_s=frames[-1].time_s)
        assert numbers(list(clip.frames(rate=5))) == list(range(0, 60, 2))
        assert numbers(list(clip.frames(rate=5, start_s=3.3))) == list(range(34, 60, 2))
        assert numbers(list(clip.frames(start_s=3.3))) == list(range(33, 60))
        for time_s, number in ((0.0, 0), (3.7, 37), (3.75, 37), (0.1, 1), (5.9, 59), (99.0, 59), (-1.0, 0)):
            for from_start in (False, True):
                found = clip.frame_at(time_s, from_start=from_start)
                assert number_of(found.picture) == found.index == number, (time_s, from_start)
                assert found.time_s == pytest.approx(number / 10, abs=1e-3)


def test_facts_of_a_clip(tmp_path: Path) -> None:
    with open_clip(write_clip(tmp_path / "a.mp4", 30, 10)) as clip:
        assert (clip.codec, clip.duration_s, clip.container_start) == ("h264", 3.0, None)
        frame = next(clip.frames())
    assert frame.picture.shape == (HEIGHT, WIDTH, 3)
    assert frame.picture.dtype == np.uint8
    # BGR: the moving rectangle is blue
    assert np.abs(frame.picture.astype(int) - picture(0)).mean() < 4


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6]),
        # 0.0 | - | 0.5 | - - - - - 1.7: of two frames in one interval the first
        (5.0, [0, 3, 4, 6]),
        (1.0, [0, 4]),
        (0.1, [0]),
        (1000.0, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_variable_frame_rate(tmp_path: Path, rate: float | None, expected: list[int]) -> None:
    times = [0, 0.04, 0.1, 0.5, 1.7, 1.72, 1.9]
    frames, report = read(write_clip(tmp_path / "a.mp4", times=times), rate)
    assert numbers(frames) == expected
    assert [frame.time_s for frame in frames] == pytest.approx([times[n] for n in expected])
    assert report.last_time_s == pytest.approx(1.9)


@pytest.mark.parametrize(
    ("fps", "name"), [(25, "a.mp4"), (30, "a.mkv"), (30, "a.flv"), (7, "a.mp4"), (60, "a.mkv")]
)
@pytest.mark.parametrize("rate", [1.0, 5.0, 6.0, 10.0])
def test_sampling_takes_the_first_frame_of_each_interval(
    tmp_path: Path, fps: int, name: str, rate: float
) -> None:
    path = write_clip(tmp_path / name, 2 * fps, fps)
    taken = [frame.index for frame in read(path, rate)[0]]
    # oracle in whole numbers: frame n is in interval floor(n * rate / fps)
    intervals = [n * int(rate) // fps for n in range(2 * fps)]
    assert taken == [n for n in range(2 * fps) if n == 0 or intervals[n] != intervals[n - 1]]
    assert len(taken) <= 2 * rate


def test_unusable_rates_and_times(tmp_path: Path) -> None:
    with open_clip(write_clip(tmp_path / "a.mp4", 3)) as clip:
        for rate in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(InputError, match="rate"):
                clip.frames(rate)
        for time_s in (float("nan"), float("inf")):
            with pytest.raises(InputError, match="time"):
                clip.frame_at(time_s)
            with pytest.raises(InputError, match="time"):
                clip.frames(start_s=time_s)


# FFmpeg counts counter-clockwise; players and OpenCV show 90 as one quarter turn to the left
@pytest.mark.parametrize(("rotation", "quarters"), [(90, 1), (180, 2), (270, 3)])
def test_rotation_is_applied(tmp_path: Path, rotation: int, quarters: int) -> None:
    path = write_clip(tmp_path / "a.mp4", 3, rotation=rotation)
    expected = np.rot90(picture(2), quarters)
    with open_clip(path) as clip:
        assert (clip.height, clip.width) == expected.shape[:2]
        shown = [list(clip.frames())[2], clip.frame_at(0.2)]
    for frame in shown:
        assert np.abs(frame.picture.astype(int) - expected).mean() < 4


def test_one_frame(tmp_path: Path) -> None:
    frames, report = read(write_clip(tmp_path / "a.mp4", 1), 5.0)
    assert numbers(frames) == [0]
    assert report == ReadReport(frames_decoded=1)


def test_a_raw_stream_has_no_times_and_gets_them_from_the_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.h264", 40, 10)
    frames, report = read(path)
    assert numbers(frames) == list(range(40))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 10 for n in range(40)])
    assert report.times_repaired == 40
    assert "repaired" in report.warnings[0]
    with open_clip(path) as clip:
        assert number_of(clip.frame_at(3.0).picture) == 30


def test_joined_recordings_go_on_and_keep_one_size(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "1.ts", 30, 10, start_s=100.0)
    second = write_clip(tmp_path / "2.ts", 30, 10, size=(320, 192))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames, report = read(joined)
    assert {frame.picture.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert numbers(frames) == [*range(30), *range(30)]
    assert [frame.time_s for frame in frames] == pytest.approx([n / 10 for n in range(60)], abs=0.06)
    assert report.times_repaired == 1
    assert "scaled to 160 x 96" in " ".join(report.warnings)
    with open_clip(joined) as clip:
        assert clip.frame_at(4.5, from_start=True).index == 45


@pytest.mark.parametrize("padding", [0, 40_000], ids=["seen at once", "seen after opening"])
def test_other_streams_are_not_read_but_told(tmp_path: Path, padding: int) -> None:
    null_packet = bytes([0x47, 0x1F, 0xFF, 0x10]) + b"\xff" * 184
    parts = [
        write_clip(tmp_path / "1.ts", 30, 10),
        write_clip(tmp_path / "2.ts", 30, 10, start_s=3.0, container_options={"mpegts_start_pid": "600"}),
        write_clip(tmp_path / "3.ts", 30, 10, start_s=6.0),
    ]
    first, other, last = (part.read_bytes() for part in parts)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first + null_packet * padding + other + null_packet * (padding // 5) + last)
    frames, report = read(joined)
    assert numbers(frames) == [*range(30), *range(30)]
    assert frames[30].time_s == pytest.approx(6.0)
    assert "1 further video stream(s), not read" in report.warnings[-1]


def test_cut_off_in_the_middle(tmp_path: Path) -> None:
    path = cut(write_clip(tmp_path / "a.mp4", 100, container_options=FASTSTART), 0.6)
    frames, report = read(path)
    assert numbers(frames) == list(range(len(frames)))
    assert 30 < len(frames) < 80
    assert report.truncated
    assert "of 10.0 s" in report.warnings[-1]


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "libx264")])
def test_cut_off_recordings_without_index_still_play(tmp_path: Path, name: str, codec: str) -> None:
    frames, report = read(cut(write_clip(tmp_path / name, 100, codec=codec), 0.6))
    assert len(frames) > 30
    assert numbers(frames)[:30] == list(range(30))
    # a transport stream promises no end
    assert report.truncated == (name != "a.ts")


def test_an_abandoned_pass_is_not_called_truncated(tmp_path: Path) -> None:
    with open_clip(write_clip(tmp_path / "a.mp4", 100)) as clip:
        assert len(list(itertools.islice(clip.frames(), 5))) == 5
        assert not clip.report().truncated


@pytest.mark.parametrize("options", [{}, B_FRAMES], ids=["plain", "b-frames"])
def test_damage_in_the_middle_is_counted_and_survived(tmp_path: Path, options: dict[str, str]) -> None:
    path = write_clip(tmp_path / "a.mp4", 100, container_options=FASTSTART, options=options)
    frames, report = read(flip_bytes(path, 0.5, 0.6))
    assert report.packets_corrupt > 0
    assert report.frames_decoded == len(frames) > 50
    assert report.frames_decoded + report.packets_corrupt <= 101
    assert not report.truncated
    # before the damage and after the next key frame everything is right, times too
    assert numbers(frames)[:30] == list(range(30))
    assert numbers(frames)[-5:] == list(range(95, 100))
    assert [frame.time_s for frame in frames[-5:]] == pytest.approx([n / 10 for n in range(95, 100)])
    assert "damaged packet" in report.warnings[0]


def test_a_damaged_beginning_does_not_shift_the_clock(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 60, container_options=FASTSTART)
    head = path.read_bytes().index(b"mdat") / path.stat().st_size
    frames, _ = read(flip_bytes(path, head + 0.01, head + 0.2))
    assert frames[0].time_s > 0.2
    assert [frame.time_s for frame in frames[-5:]] == pytest.approx([n / 10 for n in range(55, 60)])
    assert numbers(frames)[-5:] == list(range(55, 60))


def _unreadable(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "a.mp4"
    match kind:
        case "zero bytes":
            path.write_bytes(b"")
        case "text":
            path.write_text("no video\n" * 200)
        case "text that FFmpeg would draw":
            path = tmp_path / "a.txt"
            path.write_text("hello world\n" * 100)
        case "playlist":
            write_clip(tmp_path / "part.ts", 10)
            path = tmp_path / "a.m3u8"
            path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n#EXT-X-ENDLIST\n")
        case "one byte":
            path.write_bytes(b"\x00")
        case "noise":
            path.write_bytes(np.random.default_rng(0).bytes(50_000))
        case "no index":
            cut(write_clip(path, 100), 0.6)
        case "index only":
            write_clip(path, 100, container_options=FASTSTART)
            path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") + 4])
        case "pictures all damaged":
            write_clip(path, 30, container_options=FASTSTART)
            flip_bytes(path, path.read_bytes().index(b"mdat") / path.stat().st_size + 0.001, 1.0)
        case "unknown codec":
            write_clip(path, 30)
            path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
        case "sound only":
            write_audio(path)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "below a file":
            path.write_bytes(b"x")
            path = path / "b.mp4"
        case "NUL in the name":
            path = Path("a\x00.mp4")
        case "long name":
            path = tmp_path / ("x" * 300)
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("absent", "missing"), ("below a file", "missing"), ("NUL in the name", "missing"),
        ("long name", "unreadable"), ("zero bytes", "empty"),
        ("folder", "not_video"), ("pipe", "not_video"), ("text", "not_video"), ("one byte", "not_video"),
        ("text that FFmpeg would draw", "not_video"), ("playlist", "not_video"), ("noise", "not_video"),
        ("sound only", "not_video"),
        ("no index", "no_frames"), ("index only", "no_frames"), ("pictures all damaged", "no_frames"),
        ("unknown codec", "no_frames"),
    ],
)  # fmt: skip
def test_unreadable_files_have_a_reason(
    tmp_path: Path, kind: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _unreadable(tmp_path, kind)
    with pytest.raises(FootageError) as caught:
        open_clip(path)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 3)
    path.chmod(0)
    with pytest.raises(FootageError) as caught:
        open_clip(path)
    assert caught.value.reason == "no_permission"


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 3)
    with open_clip(path) as clip:
        path.unlink()
        with pytest.raises(FootageError) as caught:
            list(clip.frames())
    assert caught.value.reason == "missing"


def test_leaving_the_block_closes_abandoned_passes(tmp_path: Path) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("needs /proc")
    path = write_clip(tmp_path / "a.mp4", 30)
    with open_clip(path) as clip:
        running = clip.frames()
        next(running)
        clip.frame_at(1.0)
        assert str(path) in [os.path.realpath(file) for file in open_files.iterdir()]
    assert str(path) not in [os.path.realpath(file) for file in open_files.iterdir()]


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "a.ts", "a.mkv", "a.avi", "a.flv", "a.h264"])
def test_random_damage_never_raises_anything_else(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good = write_clip(
        tmp_path / name, 40, codec="mpeg4" if name == "a.avi" else "libx264",
        container_options=FASTSTART if name == "b.mp4" else {},
    ).read_bytes()  # fmt: skip
    random = np.random.default_rng(7)
    readable = 0
    for number in range(30):
        data = np.frombuffer(good, np.uint8).copy()
        # headers are the tender spot: every other file is hit there
        spots = random.integers(0, 600 if number % 2 else len(data), random.integers(1, 30))
        data[spots] = random.integers(0, 256, len(spots))
        path = tmp_path / f"bad{Path(name).suffix}"
        path.write_bytes(
            data[: random.integers(1, len(data))].tobytes() if number % 5 == 0 else data.tobytes()
        )
        try:
            with open_clip(path) as clip:
                times = [frame.time_s for frame in clip.frames()]
                assert clip.report().frames_decoded == len(times)
                clip.frame_at(1.0)
        except FootageError:
            continue
        readable += 1
        assert all(0 < later - earlier <= 3600 for earlier, later in itertools.pairwise(times))
    assert readable > 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raw", "expected", "repaired"),
    [
        # in order, at any rate, from any beginning
        ([0.0, 0.1, 0.2, 9.0], [0.0, 0.1, 0.2, 9.0], 0),
        ([], [], 0),
        # nothing known: by the frame rate
        ([None, None, None, None], [0.0, 0.1, 0.2, 0.3], 4),
        ([0.0, None, None, 0.3], [0.0, 0.1, 0.2, 0.3], 2),
        # a lone duplicate or disorder: half a frame later, then in time again
        ([0.0, 0.1, 0.1, 0.2], [0.0, 0.1, 0.15, 0.2], 1),
        ([0.0, 0.2, 0.1, 0.3], [0.0, 0.2, 0.25, 0.3], 1),
        # a clock that stands still: about the frame rate
        ([0.0] * 5, [0.0, 0.05, 0.15, 0.25, 0.35], 4),
        # the recorder's clock is set back: a new line begins
        ([100.0, 100.1, 5.0, 5.1, 5.2], [100.0, 100.1, 100.2, 100.3, 100.4], 1),
        # one wild value, back and forward: then the old line again
        ([100.0, 100.1, -9e9, 100.3], [100.0, 100.1, 100.2, 100.3], 1),
        ([100.0, 100.1, 9e9, 100.3], [100.0, 100.1, 100.2, 100.3], 1),
        # forward by more than an hour, for good
        ([0.0, 0.1, 3601.0, 3601.1], [0.0, 0.1, 0.2, 0.3], 1),
        # an hour's pause is believed: recorders that react to motion
        ([0.0, 0.1, 3600.0], [0.0, 0.1, 3600.0], 0),
        # before the beginning
        ([-0.5, 0.1], [0.0, 0.1], 0),
    ],
)
def test_timeline(raw: list[float | None], expected: list[float], repaired: int) -> None:
    line = Timeline(7.0, 0.1)
    placed = [line.place(None if moment is None else moment + 7.0) for moment in raw]
    assert placed == pytest.approx(expected)
    assert line.repaired == repaired


def test_any_timestamps_give_growing_times() -> None:
    random = np.random.default_rng(3)
    for _ in range(300):
        line = Timeline(0.0, 0.04)
        values = random.choice([-1e6, -2.0, 0.0, 0.04, 1.0, 500.0, 4000.0, 1e9], 60) + random.normal(
            0, 0.1, 60
        )
        placed = [line.place(None if random.random() < 0.1 else float(value)) for value in values]
        # at large values the last bits of a float are larger than a microsecond
        assert all(0 < later - earlier <= 3600.001 for earlier, later in itertools.pairwise(placed))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_container_start(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, 3, metadata={"creation_time": "2025-02-18T03:34:00Z"})
    with open_clip(path) as clip:
        assert clip.container_start == datetime(2025, 2, 18, 3, 34, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "2150-01-01T00:00:00Z"]
)
def test_clocks_never_set_are_ignored(tmp_path: Path, text: str) -> None:
    with open_clip(write_clip(tmp_path / "a.mkv", 3, metadata={"creation_time": text})) as clip:
        assert clip.container_start is None


def test_the_name_wins_over_the_container() -> None:
    exported = datetime(2025, 3, 1, tzinfo=UTC)
    named = datetime(2025, 2, 18, 3, 34, tzinfo=UTC)
    assert clip_start(Path("x/20250218T123400.mp4"), exported) == (named, "name")
    assert clip_start(Path("20250218T123400/x.mp4"), exported) == (exported, "container")
    assert clip_start(Path("20251318T123400.mp4"), exported) == (exported, "container")
    assert clip_start(Path("x.mp4"), None) is None


def test_real_footage_is_read_to_its_end() -> None:
    path = SHARED / "eval" / "pets09-s2l1" / "vtest.avi"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the repository's neighbour folder shared")
    clip: Clip
    with open_clip(path) as clip:
        sampled = [frame.index for frame in clip.frames(5)]
        assert sampled == list(range(0, 795, 2))
        assert clip.report() == ReadReport(frames_decoded=795, last_time_s=79.4)
        last = clip.frame_at(60.0)
    assert last.index == 600
    assert last.picture.shape == (576, 768, 3)
