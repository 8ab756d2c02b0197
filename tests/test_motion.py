"""Where to look: walkers, people who stand, noise, rain, lights, and the pipeline that looks there only."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.motion import Motion
from indexer.pipeline import Pipeline, PipelineOptions
from indexer.settings import load_settings
from indexer.shard.files import ArchiveFiles
from indexer.video import open_clip
from reid.boxes import Boxes, Detections
from reid.errors import InputError
from reid.images import Picture
from search.commands.indexing import pipeline_choice
from tests.clips import write_clip
from tests.world import FakeDetector, FakeEmbedder, Walk, write_scene

WIDTH, HEIGHT = 640, 360
NOBODY = np.zeros((0, 4), np.float32)
Grey = NDArray[np.uint8]


def street(seed: int, noise: float = 2.0, light: float = 1.0) -> Grey:
    """A frame in which nobody is."""
    ground = np.add.outer(np.linspace(60, 140, HEIGHT), 30 * np.sin(np.arange(WIDTH) / 20))
    shown = ground * light + np.random.default_rng(seed).normal(0, noise, ground.shape)
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def with_person(grey: Grey, x: int, y: int, height: int = 60, level: int = 220) -> Grey:
    shown = grey.copy()
    shown[y : y + height, x : x + height // 3] = level
    return shown


def covers(parts: Boxes | None, x: int, y: int, height: int = 60) -> bool:
    """Is a person wholly in one part, with room around them?"""
    assert parts is not None
    room = 8
    box = np.array([x - room, y - room, x + height // 3 + room, y + height + room])
    return any((part[:2] <= box[:2]).all() and (part[2:] >= box[2:]).all() for part in parts)


def area(parts: Boxes | None) -> float:
    if parts is None:
        return WIDTH * HEIGHT
    return float((parts[:, 2:] - parts[:, :2]).prod(axis=1).sum())


def settled(motion: Motion, seconds: float = 3.0, **shown: float) -> float:
    """Let it learn an empty street; the time after."""
    for number in range(round(seconds * 5)):
        motion.regions(number / 5, street(number, **shown), NOBODY)
    return seconds


def test_the_first_frame_is_looked_at_everywhere_and_an_empty_street_nowhere() -> None:
    motion = Motion(WIDTH, HEIGHT, 15.0)
    assert motion.regions(0.0, street(0), NOBODY) is None
    for number in range(1, 50):
        parts = motion.regions(number / 5, street(number), NOBODY)
        assert parts is not None
        assert len(parts) == 0


def test_a_walker_is_wholly_inside_a_part_and_the_rest_is_left_out() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    for step in range(30):
        x = 40 + 15 * step
        parts = motion.regions(now + step / 5, with_person(street(100 + step), x, 150), NOBODY)
        assert covers(parts, x, 150)
        assert parts is not None
        sides = parts[:, 2:] - parts[:, :2]
        assert sides.prod(axis=1).sum() < 0.3 * WIDTH * HEIGHT


@pytest.mark.parametrize(("height", "level"), [(16, 170), (60, 125), (300, 30)])
def test_small_dull_and_large_people_are_noticed(height: int, level: int) -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    for step in range(2):
        shown = with_person(street(90 + step), 300 + 2 * step, 40, height, level)
        parts = motion.regions(now + step / 5, shown, NOBODY)
    assert parts is None or covers(parts, 302, 40, height)


def test_two_people_far_from_each_other_are_two_parts_and_near_ones_are_one() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    both = with_person(with_person(street(50), 60, 100), 500, 200)
    parts = motion.regions(now, both, NOBODY)
    assert parts is not None
    assert len(parts) == 2
    parts = motion.regions(now + 3, with_person(with_person(street(51), 60, 100), 90, 110), NOBODY)
    assert parts is not None
    assert len(parts) == 1


def test_who_is_followed_is_looked_at_also_when_standing_still() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    standing = np.array([[300, 100, 320, 160]], np.float32)
    for step in range(200):  # until the background has taken them in
        parts = motion.regions(now + step / 5, with_person(street(step), 300, 100), standing)
        assert covers(parts, 300, 100)
    outside = np.array([[-90, 100, -60, 160]], np.float32)
    parts = motion.regions(now + 50, with_person(street(1), 300, 100), outside)
    assert parts is not None
    assert len(parts) == 0


def test_the_whole_picture_comes_in_turn_and_when_asked_for() -> None:
    motion = Motion(WIDTH, HEIGHT, 2.0)
    whole = [motion.regions(k / 5, street(k), NOBODY) is None for k in range(50)]
    assert [k for k, asked in enumerate(whole) if asked] == [0, 40]
    motion = Motion(WIDTH, HEIGHT, 60.0)
    settled(motion)
    motion.look_everywhere()
    assert motion.regions(10.0, street(3), NOBODY) is None
    assert motion.regions(10.2, street(4), NOBODY) is not None
    every = Motion(WIDTH, HEIGHT, 0.0)
    assert all(every.regions(k / 5, street(k), NOBODY) is None for k in range(5))


def test_light_that_changes_everywhere_is_no_motion_and_a_lamp_makes_it_look_everywhere() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    brighter = (street(70).astype(np.int16) + 12).clip(0, 255).astype(np.uint8)
    parts = motion.regions(now, brighter, NOBODY)
    assert parts is not None
    assert len(parts) == 0
    lit = street(71).astype(np.int16)
    lit[:, : WIDTH // 2] += 60
    assert motion.regions(now + 0.2, lit.clip(0, 255).astype(np.uint8), NOBODY) is None


def test_what_flickers_for_long_counts_no_more_and_a_person_before_it_does() -> None:
    motion, random = Motion(WIDTH, HEIGHT, 600.0), np.random.default_rng(1)

    def leaves(number: int) -> Grey:
        shown = street(number).astype(np.int16)
        shown[40:120, 400:560] += random.integers(-18, 19)  # a tree in the wind
        return shown.clip(0, 255).astype(np.uint8)

    areas = []
    for number in range(600):
        parts = motion.regions(number / 5, leaves(number), NOBODY)
        areas.append(area(parts))
    assert np.mean(areas[-100:]) < 0.2 * np.mean(areas[1:50])
    assert covers(motion.regions(121.0, with_person(leaves(1), 450, 60, 60, 250), NOBODY), 450, 60)


def test_rain_all_over_is_learned_and_somebody_who_walks_in_it_is_seen() -> None:
    motion, random = Motion(WIDTH, HEIGHT, 600.0), np.random.default_rng(2)

    def rain(number: int) -> Grey:
        shown = street(number).astype(np.int16)
        for x, y in zip(
            random.integers(0, WIDTH - 1, 400), random.integers(0, HEIGHT - 24, 400), strict=True
        ):
            shown[y : y + 24, x] += 25
        return shown.clip(0, 255).astype(np.uint8)

    asked = [motion.regions(number / 5, rain(number), NOBODY) for number in range(75)]
    assert any(parts is None for parts in asked[1:10])  # at first it is motion everywhere
    assert all(area(parts) < 0.2 * WIDTH * HEIGHT for parts in asked[-20:])
    assert covers(motion.regions(15.2, with_person(rain(99), 300, 120, 80, 250), NOBODY), 300, 120, 80)


def test_where_people_pass_all_the_time_they_are_still_seen() -> None:
    motion = Motion(WIDTH, HEIGHT, 600.0)
    now = settled(motion)
    for step in range(600):  # two minutes in which somebody is on the way half of the time
        x = 20 + 10 * (step % 120)
        shown = with_person(street(step), x, 150) if x < WIDTH - 40 else street(step)
        motion.regions(now + step / 5, shown, NOBODY)
    for step in range(2):
        dull = with_person(street(step), 300 + 6 * step, 150, 60, 125)
        parts = motion.regions(now + 120 + step / 5, dull, NOBODY)
    assert covers(parts, 306, 150)


def test_what_changed_is_looked_at_in_turn_and_the_whole_picture_less_often() -> None:
    motion = Motion(WIDTH, HEIGHT, 2.0)
    shown = [street(k) for k in range(120)]
    for k in range(52, 57):
        shown[k] = with_person(shown[k], 200 + 15 * (k - 52), 150)
    parts = [motion.regions(k / 5, grey, NOBODY) for k, grey in enumerate(shown)]
    looks = [k for k, each in enumerate(parts) if each is None or len(each)]
    assert [k for k in looks if parts[k] is None] == [0, 40, 80]
    assert set(range(53, 57)) <= set(looks)
    assert 60 in looks  # again at all places where somebody walked
    for x in (215, 260):
        assert covers(parts[60], x, 150)
    assert not set(looks) & set(range(61, 80))


def drive(motion: Motion, begin_s: float, found: Boxes, step_s: float = 0.2) -> list[int]:
    """A van drives by for 20 frames; in which of them was looked at it, when each look gives `found`?"""
    looked = []
    for step in range(20):
        time_s, x = begin_s + step * step_s, 40 + 15 * step
        parts = motion.regions(time_s, with_person(street(300 + step), x, 150), NOBODY)
        assert parts is not None
        if len(parts):
            assert covers(parts, x, 150)
            looked.append(step)
            motion.learn_found(time_s, parts, found)
    return looked


def test_where_nobody_was_found_is_looked_every_other_time() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    assert drive(motion, settled(motion), NOBODY) == list(range(0, 20, 2))


def test_where_somebody_was_found_is_looked_each_time_and_in_slow_footage_too() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    everywhere = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    assert drive(motion, settled(motion), everywhere) == list(range(20))
    motion = Motion(WIDTH, HEIGHT, 60.0)
    assert drive(motion, settled(motion), NOBODY, step_s=0.25) == list(range(20))


def test_somebody_new_beside_what_was_nobody_is_looked_at_at_once() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    drive(motion, now, NOBODY)
    both = with_person(with_person(street(400), 340, 150), 560, 60)
    parts = motion.regions(now + 4.0, both, NOBODY)  # the van's turn
    assert covers(parts, 560, 60)
    motion.learn_found(now + 4.0, parts, np.array([[560, 60, 580, 120]], np.float32))
    both = with_person(with_person(street(401), 355, 150), 575, 60)
    parts = motion.regions(now + 4.2, both, NOBODY)  # the van rests
    assert covers(parts, 575, 60)
    assert not covers(parts, 355, 150)


def test_who_is_followed_is_looked_at_each_time_wherever_nobody_was_found() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    now = settled(motion)
    for step in range(20):
        x = 40 + 15 * step
        followed = np.array([[x, 150, x + 20, 210]], np.float32)
        parts = motion.regions(now + step / 5, with_person(street(step), x, 150), followed)
        assert covers(parts, x, 150)
        assert parts is not None
        motion.learn_found(now + step / 5, parts, NOBODY)


def test_what_changed_is_looked_at_in_turn_although_nobody_was_found_there() -> None:
    motion = Motion(WIDTH, HEIGHT, 4.0)
    looked = drive(motion, settled(motion), NOBODY)
    assert {4, 5, 7} <= set(
        looked
    )  # the fifth is 4 s after the first look at all; the sixth is left out again


def test_quiet_is_where_nothing_moved_lately() -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    assert not motion.is_quiet(0.0)  # nothing is known yet
    assert not motion.shows_nothing_new(street(0))
    now = settled(motion)
    assert motion.is_quiet(now)
    for step in range(3):
        motion.regions(now + step / 5, with_person(street(step), 100 + 15 * step, 150), NOBODY)
    assert not motion.is_quiet(now + 0.6)
    assert motion.is_quiet(now + 2.0)


@pytest.mark.parametrize(
    ("shown", "is_new"),
    [
        (street(777), False),
        (street(777, light=1.02), False),
        (with_person(street(777), 300, 150), True),
        (with_person(street(777), 300, 150, 24, 200), True),  # far away
        (with_person(street(777), 0, 300), True),  # at the edge
        (with_person(street(777), 300, 150, 60, 125), True),  # dull clothes
    ],
)
def test_what_is_new_is_whatever_could_be_somebody(shown: Grey, is_new: bool) -> None:
    motion = Motion(WIDTH, HEIGHT, 60.0)
    settled(motion)
    assert motion.shows_nothing_new(shown) is not is_new


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (97, 33), (33, 97), (8, 8)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    motion, random = Motion(width, height, 60.0), np.random.default_rng(0)
    for number in range(6):
        shown = random.integers(0, 255, (height, width), dtype=np.uint8)
        parts = motion.regions(number / 5, shown, NOBODY)
        if parts is not None and len(parts):
            assert (parts >= 0).all()
            assert (parts[:, [0, 2]] <= width).all()
            assert (parts[:, [1, 3]] <= height).all()


class Watched(FakeDetector):
    """Keeps where it was asked to look."""

    def __init__(self) -> None:
        self.regions: list[Boxes | None] = []

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        assert regions is not None
        self.regions += regions
        return super().detect(pictures, regions)


def test_the_pipeline_finds_the_same_people_where_it_looks_at_less(tmp_path: Path) -> None:
    clip = write_scene(tmp_path / "c.mp4", [Walk("red", 10, 40), Walk("blue", 30, 70, 1)], frames=120)
    found = {}
    for whole_look_s in (0.0, 30.0):
        detector = Watched()
        options = PipelineOptions(whole_look_s=whole_look_s)
        content = Pipeline(detector, FakeEmbedder(), options).run(clip)  # type: ignore[arg-type]
        found[whole_look_s] = [(round(each.start_s, 1), round(each.end_s, 1)) for each in content.people]
        assert content.sampled == 60
        asked = len(detector.regions)
        assert asked == 60 if whole_look_s == 0 else asked < 45  # the empty frames were not looked at
    assert len(found[0.0]) == 2
    assert found[30.0] == found[0.0]


def test_who_stands_before_the_clip_begins_and_never_moves_is_followed_to_the_end(tmp_path: Path) -> None:
    clip = write_scene(tmp_path / "c.mp4", [Walk("red", 0, 100_000)], frames=200)  # a step in an hour
    detector = Watched()
    content = Pipeline(detector, FakeEmbedder(), PipelineOptions()).run(clip)  # type: ignore[arg-type]
    assert len(content.people) == 1
    assert content.people[0].end_s - content.people[0].start_s > 19
    assert sum(parts is None for parts in detector.regions) == 1


def test_a_box_cut_at_a_parts_edge_is_left_out_and_the_next_frames_are_looked_at_whole(
    tmp_path: Path,
) -> None:
    clip = write_scene(tmp_path / "c.mp4", [Walk("red", 5, 40)], frames=60)

    class Cutting(Watched):
        """Finds, where it looks at a part, somebody who reaches beyond it."""

        def detect(
            self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
        ) -> list[Detections]:
            assert regions is not None
            self.regions += regions
            return [
                Detections.empty() if parts is None or not len(parts)
                else Detections(parts[:1].copy(), np.array([0.9], np.float32))
                for parts in regions
            ]  # fmt: skip

    detector = Cutting()
    content = Pipeline(detector, FakeEmbedder(), PipelineOptions(whole_look_s=60.0)).run(clip)  # type: ignore[arg-type]
    assert not content.people
    assert sum(parts is None for parts in detector.regions) > 1


def test_a_frames_brightness_is_that_of_its_picture(tmp_path: Path) -> None:
    for number, rotation in enumerate((0, 90, 180, 270)):
        clip = write_clip(tmp_path / f"{number}.mp4", 5, rotation=rotation)
        with open_clip(clip) as opened:
            for frame in opened.frames():
                grey, picture = frame.grey(), frame.picture
                assert grey.shape == picture.shape[:2] == (frame.height, frame.width)
                blue, green, red = np.moveaxis(picture.astype(float), 2, 0)
                brightness = 16 + (0.114 * blue + 0.587 * green + 0.299 * red) * 219 / 255
                assert np.abs(grey - brightness).mean() < 6


def test_frames_are_not_changed_by_replacing_their_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", 3)
    with open_clip(clip) as opened:
        frame = next(opened.frames())
        assert (replace(frame, time_s=9.0).picture == frame.picture).all()


def test_the_setting_is_what_footage_is_looked_at_with(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path)
    assert pipeline_choice(archive, load_settings(archive)).options == PipelineOptions()
    archive.settings.write_text("whole_look_seconds = 2.5\n")
    assert pipeline_choice(archive, load_settings(archive)).options.whole_look_s == 2.5


@pytest.mark.parametrize("value", ["-1", "3601", "nan", "'often'"])
def test_settings_that_make_no_sense(tmp_path: Path, value: str) -> None:
    archive = ArchiveFiles(tmp_path)
    archive.settings.write_text(f"whole_look_seconds = {value}\n")
    with pytest.raises(InputError, match="whole_look_seconds"):
        load_settings(archive)
