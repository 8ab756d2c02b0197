"""Frames that need no decoding: which are left out, that the others are right, and that nobody is lost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from indexer.frame import Frame
from indexer.pipeline import Pipeline, PipelineOptions
from indexer.video import ReadReport, open_clip
from reid.images import Grey, Picture
from tests.clips import flip_bytes, number_of, write_clip
from tests.test_video import B_FRAMES, KINDS
from tests.world import COLOURS, FakeDetector, FakeEmbedder

WIDTH, HEIGHT = 320, 180
GROUP = 10


class Watcher:
    """Quiet whenever it is told so; compares with the last frame that was looked at."""

    def __init__(self, *, is_quiet: bool = True, most: float = 1.0) -> None:
        self.quiet, self.most = is_quiet, most
        self.last: Grey | None = None

    def is_quiet(self) -> bool:
        return self.quiet

    def shows_nothing_new(self, grey: Grey) -> bool:
        return self.last is None or float(np.abs(grey.astype(int) - self.last).max()) <= 255 * self.most

    def watch(self, path: Path, rate: float | None = None) -> tuple[list[Frame], ReadReport]:
        given = []
        with open_clip(path) as clip:
            for frame in clip.frames(rate, watcher=self):
                self.last = frame.grey().copy()
                given.append(frame)
            return given, clip.report()


def street(
    path: Path, person: Callable[[int], int | None], count: int = 120, noise: float = 2.0, group: int = GROUP,
    rate: int = 10,
) -> Path:  # fmt: skip
    """A noisy street in which a red person stands at `person(frame)` pixels from the left, if anywhere."""
    random = np.random.default_rng(0)
    ground = np.add.outer(np.linspace(60, 140, HEIGHT), 30 * np.sin(np.arange(WIDTH) / 20))[..., None]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"bf": "0", "g": str(group), "crf": "28", "sc_threshold": "0", "preset": "fast"}
        for number in range(count):
            scene = np.repeat(ground, 3, axis=2)
            left = person(number)
            if left is not None:
                scene[60:140, left : left + 30] = COLOURS["red"]
            scene += random.normal(0, noise, (HEIGHT, WIDTH, 1))
            shown: Picture = np.clip(scene, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="bgr24")))
        container.mux(stream.encode())
    return path


def nobody(number: int) -> None:
    return None


def numbers(frames: Sequence[Frame]) -> list[int]:
    return [frame.index for frame in frames]


def test_of_an_empty_street_only_key_frames_are_decoded(tmp_path: Path) -> None:
    given, report = Watcher(most=0.05).watch(street(tmp_path / "c.mp4", nobody))
    # What is usual is known after three groups, of which every second one is looked at, and what follows the
    # last key frame never.
    assert numbers(given) == [*range(61), 70, 80, 90, 100, *range(110, 120)]
    assert [frame.time_s for frame in given] == pytest.approx([n / 10 for n in numbers(given)], abs=1e-3)
    assert (report.frames_decoded, report.frames_left_out) == (75, 45)
    assert report.last_time_s == pytest.approx(11.9)
    assert not report.truncated
    assert report.warnings == ()


def test_while_something_happens_all_is_decoded(tmp_path: Path) -> None:
    given, report = Watcher(is_quiet=False).watch(street(tmp_path / "c.mp4", nobody))
    assert numbers(given) == list(range(120))
    assert report.frames_left_out == 0


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0])
def test_who_comes_and_goes_between_two_key_frames_is_seen(tmp_path: Path, noise: float) -> None:
    """Neither of them shows the person, but packets between are larger."""
    clip = street(tmp_path / "c.mp4", lambda n: 60 + 12 * (n - 93) if 93 <= n <= 97 else None, noise=noise)
    given, _ = Watcher(most=0.5).watch(clip)
    assert set(range(90, 100)) <= set(numbers(given))
    assert (len(given) < 120) == (noise <= 2)  # where noise hides people, nothing is left out


def test_who_is_there_at_the_next_key_frame_is_seen_coming(tmp_path: Path) -> None:
    clip = street(tmp_path / "c.mp4", lambda n: 60 + 4 * (n - 95) if n >= 95 else None)
    given, _ = Watcher(most=0.05).watch(clip)
    assert numbers(given) == [*range(61), 70, 80, *range(90, 120)]


@pytest.mark.parametrize("name", KINDS)
def test_of_every_kind_of_file_the_right_frames_are_given(tmp_path: Path, name: str) -> None:
    """Of the last group, of groups that need others, and of files without times, everything."""
    path = write_clip(tmp_path / name, 120, 10, **KINDS[name])
    given, report = Watcher().watch(path)
    assert [number_of(frame.picture) for frame in given] == numbers(given)
    assert [frame.time_s for frame in given] == pytest.approx([n / 10 for n in numbers(given)], abs=1e-3)
    assert report.frames_decoded == len(given)
    assert report.frames_decoded + report.frames_left_out == 120
    assert report.last_time_s == pytest.approx(11.9, abs=1e-3)
    assert not report.truncated
    alone = KINDS[name].get("options") != B_FRAMES and KINDS[name].get("codec") not in {"mjpeg"}
    assert (report.frames_left_out > 0) <= alone


def test_of_h265_too(tmp_path: Path) -> None:
    options = {"bf": "0", "g": "10", "x265-params": "log-level=none"}
    path = write_clip(tmp_path / "c.mp4", 120, 10, codec="libx265", options=options)
    given, report = Watcher().watch(path)
    assert [number_of(frame.picture) for frame in given] == numbers(given)
    assert report.frames_left_out > 10
    assert report.frames_decoded + report.frames_left_out == 120


def test_what_lies_long_between_two_key_frames_is_decoded(tmp_path: Path) -> None:
    given, report = Watcher().watch(street(tmp_path / "c.mp4", nobody, group=30))
    assert numbers(given) == list(range(120))
    assert report.frames_left_out == 0


def test_a_rate_chooses_among_the_frames_that_are_decoded(tmp_path: Path) -> None:
    clip = street(tmp_path / "c.mp4", lambda n: 60 + 4 * (n - 95) if n >= 95 else None)
    given, _ = Watcher(most=0.05).watch(clip, rate=5)
    assert numbers(given) == [*range(0, 61, 2), 70, 80, *range(90, 120, 2)]


@pytest.mark.parametrize("seed", range(8))
def test_damage_is_survived_and_told(tmp_path: Path, seed: int) -> None:
    path = street(tmp_path / "c.ts", nobody, count=120)
    flip_bytes(path, 0.3, 0.32, seed)
    given, report = Watcher(most=0.05).watch(path)
    with open_clip(path) as clip:
        whole = {frame.index: frame.time_s for frame in clip.frames()}
        damage = clip.report()
    assert len(given) > 10
    assert report.last_time_s == pytest.approx(damage.last_time_s)
    assert (report.frames_corrupt + report.packets_corrupt > 0) >= (damage.packets_corrupt > 2)
    assert len(whole) > 90


def test_the_pipeline_finds_the_same_people_with_most_frames_undecoded(tmp_path: Path) -> None:
    def walks(number: int) -> int | None:
        return 20 + 4 * (number % 150 - 60) if 60 <= number % 150 < 120 else None

    clip = street(tmp_path / "c.mp4", walks, count=450, noise=1.0)
    found: dict[float, list[tuple[float, float]]] = {}
    for whole_look_s in (0.0, 15.0):
        options = PipelineOptions(whole_look_s=whole_look_s)
        content = Pipeline(FakeDetector(), FakeEmbedder(), options).run(clip)  # type: ignore[arg-type]
        found[whole_look_s] = [(each.start_s, each.end_s) for each in content.people]
        assert np.allclose(content.spans, [(0.0, 44.9)])
        left_out = content.report.frames_left_out
        assert left_out == 0 if whole_look_s == 0 else left_out > 30
    assert len(found[0.0]) == 3
    assert np.allclose(found[0.0], found[15.0], atol=0.21)


def test_who_stands_still_is_followed_in_every_sampled_frame(tmp_path: Path) -> None:
    clip = street(tmp_path / "c.mp4", lambda _: 100, count=100)
    content = Pipeline(FakeDetector(), FakeEmbedder(), PipelineOptions()).run(clip)  # type: ignore[arg-type]
    assert content.report.frames_left_out == 0
    [person] = content.people
    assert (person.start_s, person.detections) == (0.0, 50)
    assert person.end_s == pytest.approx(9.8)
