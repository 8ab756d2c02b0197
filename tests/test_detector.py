"""Detectors: geometry with fake networks, one contract over all kinds, the real models where they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.detection import judge
from benchmarks.footage import read_truth
from indexer.video import open_clip
from reid.boxes import iou
from reid.detector import Detector, load_detector
from reid.errors import ModelError, UnknownNameError
from reid.images import resize_bilinear
from reid.looks import DetectorOptions
from reid.models import find_model
from reid.networks.ssdlite import anchors, fine_anchors
from reid.one_look import SsdRowsDetector, YoloxDetector
from reid.pyramid import PyramidDetector
from reid.registry import SPECS

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Fake:
    """A runtime of one function."""

    run: Callable[[Floats], tuple[Floats, ...]]

    def __call__(self, batch: Floats) -> tuple[Floats, ...]:
        return self.run(batch)


FIXTURE = Path(__file__).parent / "fixtures" / "ssdlite_reference.npz"
EVAL = Path(__file__).parents[2] / "shared" / "eval"
OPTIONS = DetectorOptions()
SSDLITE, YOLOX, ROWS = (
    find_model(name, "detect")
    for name in ("pedestrian-ssdlite", "yolox-nano", "person-detection-retail-0013")
)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 127, np.uint8)


# --- fakes: networks that say the same of every picture


def ssd_fake(anchor: int | None, score: float = 0.9, fine: bool = False) -> Fake:
    """A network that finds exactly the box of one anchor, or nothing."""

    def run(batch: Floats) -> tuple[Floats, ...]:
        count = len(fine_anchors(*batch.shape[2:]) if fine else anchors())
        boxes = np.zeros((len(batch), count, 4), np.float32)
        logits = np.full((len(batch), count, 2), -20, np.float32)
        if anchor is not None:
            logits[:, anchor, 1] = np.log(score / (1 - score))
        return boxes, logits

    return Fake(run)


def two_looks(whole: Fake, fine: Fake, options: DetectorOptions = OPTIONS) -> PyramidDetector:
    return PyramidDetector(SSDLITE, whole, fine, options)


def yolox_fake(cell: int, values: tuple[float, ...]) -> Fake:
    def run(batch: Floats) -> tuple[Floats, ...]:
        out = np.zeros((len(batch), 3549, 85), np.float32)
        out[:, cell, : len(values)] = values
        return (out,)

    return Fake(run)


def rows_fake(*rows: tuple[float, ...]) -> Fake:
    def run(batch: Floats) -> tuple[Floats, ...]:
        out = np.zeros((len(batch), 1, 200, 7), np.float32)
        out[:, 0, :, 0] = -1
        out[:, 0, : len(rows)] = rows
        return (out,)

    return Fake(run)


CONTRACT: list[tuple[str, Detector]] = [
    ("two looks", two_looks(ssd_fake(1900), ssd_fake(300, fine=True))),
    ("yolox", YoloxDetector(YOLOX, yolox_fake(100, (0.5, 0.5, 1, 2, 0.9, 0.9)), OPTIONS)),
    ("rows", SsdRowsDetector(ROWS, rows_fake((0, 1, 0.9, -0.2, 0.2, 0.4, 1.3)), OPTIONS)),
]


@pytest.mark.parametrize("detector", [d for _, d in CONTRACT], ids=[name for name, _ in CONTRACT])
def test_every_kind_gives_boxes_inside_pictures_of_any_size(detector: Detector) -> None:
    sizes = [(576, 768), (1, 1), (720, 1280), (400, 100), (16, 4000), (576, 768), (2160, 3840)]
    found = detector.detect([picture(*size) for size in sizes])
    assert len(found) == len(sizes)
    assert any(len(one) for one in found)
    for one, (height, width) in zip(found, sizes, strict=True):
        assert (one.boxes >= 0).all()
        assert (one.boxes <= [width, height, width, height]).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
        assert (one.scores >= OPTIONS.min_score).all()
        assert (np.diff(one.scores) <= 0).all()
    np.testing.assert_array_equal(found[0].boxes, found[5].boxes)


@pytest.mark.parametrize("detector", [d for _, d in CONTRACT], ids=[name for name, _ in CONTRACT])
def test_every_kind_takes_no_picture(detector: Detector) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize("detector", [d for _, d in CONTRACT], ids=[name for name, _ in CONTRACT])
@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((10, 10), np.uint8),  # grey
        np.zeros((10, 10, 4), np.uint8),  # with transparency
        np.zeros((0, 10, 3), np.uint8),  # no pixels
        np.zeros((10, 10, 3), np.float32),
    ],
)
def test_every_kind_says_which_picture_is_wrong(detector: Detector, bad: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="picture 1: expected"):
        detector.detect([picture(20, 20), bad])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_network_gone_wild_gives_finite_boxes(value: float) -> None:
    def wild(*shapes: tuple[int, ...]) -> Fake:
        return Fake(lambda batch: tuple(np.full((len(batch), *s), value, np.float32) for s in shapes))

    def wild_fine(batch: Floats) -> tuple[Floats, ...]:
        count = len(fine_anchors(*batch.shape[2:]))
        return wild((count, 4), (count, 2))(batch)

    detectors: list[Detector] = [
        two_looks(wild((1917, 4), (1917, 2)), Fake(wild_fine)),
        YoloxDetector(YOLOX, wild((3549, 85)), OPTIONS),
        SsdRowsDetector(ROWS, wild((1, 200, 7)), OPTIONS),
    ]
    for detector in detectors:
        with np.errstate(all="ignore"):
            (found,) = detector.detect([picture(576, 768)])
        assert np.isfinite(found.boxes).all()
        assert np.isfinite(found.scores).all()


@pytest.mark.parametrize(
    "detector",
    [
        two_looks(
            Fake(lambda batch: (np.zeros((1, 9, 4), np.float32), np.zeros((1, 9, 2), np.float32))),
            ssd_fake(0),
        ),
        YoloxDetector(YOLOX, Fake(lambda batch: (np.zeros((1, 3549, 6), np.float32),)), OPTIONS),
        SsdRowsDetector(ROWS, Fake(lambda batch: (np.zeros((1, 200, 7), np.float32),)), OPTIONS),
    ],
)
def test_another_networks_output_is_refused(detector: Detector) -> None:
    with pytest.raises(ModelError, match="not the detector its name says"):
        detector.detect([picture(50, 50)])


@pytest.mark.parametrize(
    ("size", "fine"),
    [
        ((576, 768), (577, 769)),
        ((720, 1280), (705, 1281)),
        ((1080, 1920), (705, 1281)),
        ((2160, 3840), (705, 1281)),  # a 4K frame costs what a 720p frame costs
        ((288, 384), (577, 769)),  # small cameras are enlarged
        ((240, 320), (481, 641)),  # at most twice
        ((100, 80), None),  # a crop: the first look is as fine
        ((150, 150), None),
        ((16, 20000), (33, 23457)),  # odd shapes do not explode
        ((1, 1), None),
    ],
)
def test_the_finer_look_is_bounded(size: tuple[int, int], fine: tuple[int, int] | None) -> None:
    seen: list[tuple[int, ...]] = []

    def watch(batch: Floats) -> tuple[Floats, ...]:
        seen.append(batch.shape)
        return ssd_fake(None, fine=True)(batch)

    two_looks(ssd_fake(None), Fake(watch)).detect([picture(*size)])
    assert seen[:1] == ([(1, 3, *fine)] if fine else [])
    halves = seen[1:]  # the look between, half as large, where that is still finer than the first
    for shape in halves:
        assert fine is not None
        assert all(abs(2 * half - whole) <= 33 for half, whole in zip(shape[2:], fine, strict=True))
    assert len(halves) == (fine is not None and fine[0] * fine[1] > 4 * 300 * 300)


def test_pictures_of_one_size_share_batches_and_keep_their_order() -> None:
    seen: list[int] = []

    def watch(batch: Floats) -> tuple[Floats, ...]:
        boxes, logits = ssd_fake(None, fine=True)(batch)
        if batch.shape[2] < 500:  # the look between finds nobody here
            return boxes, logits
        seen.append(len(batch))
        # The brighter the picture, the surer.
        logits[:, 300, 1] = batch.mean((1, 2, 3)) * 4
        return boxes, logits

    pictures = [np.full((576, 768, 3), 130 + 20 * n, np.uint8) for n in range(5)]
    pictures.insert(2, np.full((720, 1280, 3), 250, np.uint8))
    found = two_looks(ssd_fake(None), Fake(watch)).detect(pictures)
    assert seen == [2, 2, 1, 1]
    scores = [float(one.scores[0]) for one in found]
    assert scores[:2] + scores[3:] == sorted(scores[:2] + scores[3:])
    assert np.argmax(scores) == 2


def test_each_look_counts_for_its_own_heights() -> None:
    # Anchor 0 of the first look is 30 of 300 pixels high: 58 of the finer look's 577, too low to count.
    nothing = ssd_fake(None, fine=True)
    assert len(two_looks(ssd_fake(0), nothing).detect([picture(576, 768)])[0]) == 0
    # Anchor 1911 is 285 of 300 pixels wide and high, in the middle.
    (large,) = two_looks(ssd_fake(1911), nothing).detect([picture(576, 768)])
    np.testing.assert_allclose(large.boxes, [[19.2, 14.4, 748.8, 561.6]], atol=0.01)
    # Without a finer look the first counts for all.
    options = DetectorOptions(fine_pixels=0)
    assert len(two_looks(ssd_fake(0), nothing, options).detect([picture(576, 768)])[0]) == 1


def test_two_looks_at_one_person_give_one_box() -> None:
    # An anchor of the finest look 182 pixels high and 61 wide, in the middle of its 19 x 25 coarser cells,
    # and the encodings that move an anchor of the look between to the same place.
    size, half, shown = (577, 769), (289, 385), picture(577, 769)
    fine = fine_anchors(*size)
    row = 37 * 49 * 3 + (9 * 25 + 12) * 6 + 4
    there = fine[row] * np.array([half[0] / size[0], half[1] / size[1]] * 2, np.float32)
    between = fine_anchors(*half)
    near = int(np.argmin(np.abs(between - there).sum(axis=1)))

    def looks(fine_finds: bool) -> Fake:
        def run(batch: Floats) -> tuple[Floats, ...]:
            if batch.shape[2] == size[0]:
                return ssd_fake(row if fine_finds else None, 0.9, fine=True)(batch)
            boxes, logits = ssd_fake(near, 0.8, fine=True)(batch)
            boxes[:, near, :2] = (there[:2] - between[near, :2]) / between[near, 2:] * 10
            boxes[:, near, 2:] = np.log(there[2:] / between[near, 2:]) * 5
            return boxes, logits

        return Fake(run)

    (alone,) = two_looks(ssd_fake(None), looks(False)).detect([shown])
    (both,) = two_looks(ssd_fake(None), looks(True)).detect([shown])
    np.testing.assert_allclose(alone.boxes, both.boxes, atol=0.2)
    assert alone.scores[0] == pytest.approx(0.8)
    assert both.scores == pytest.approx([0.9])


def test_yolox_boxes_are_read_from_their_cells() -> None:
    # Cell 52 * 10 + 20 of stride 8: column 20, row 10; half a cell on; e^1 and e^2 strides wide and high.
    fake = yolox_fake(52 * 10 + 20, (0.5, 0.5, 1, 2, 0.9, 0.8))
    (found,) = YoloxDetector(YOLOX, fake, OPTIONS).detect([picture(832, 416)])  # scaled by a half
    wide, high = 8 * np.e, 8 * np.e**2
    x, y = 20.5 * 8, 10.5 * 8
    expected = np.array([[x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]]) * 2
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-5)
    assert found.scores[0] == pytest.approx(0.72)


def test_yolox_sees_the_picture_top_left_on_grey() -> None:
    seen: list[Floats] = []

    def watch(batch: Floats) -> tuple[Floats, ...]:
        seen.append(batch)
        return yolox_fake(0, ())(batch)

    shown = np.full((100, 200, 3), (10, 20, 30), np.uint8)
    YoloxDetector(YOLOX, Fake(watch), OPTIONS).detect([shown])
    np.testing.assert_array_equal(seen[0][0, :, :208].reshape(3, -1).T, np.tile([10, 20, 30], (208 * 416, 1)))
    assert (seen[0][0, :, 208:] == 114).all()


def test_rows_end_at_the_first_negative_image_and_count_people_only() -> None:
    person, other, end = (
        (0, 1, 0.9, 0.1, 0.2, 0.3, 0.6),
        (0, 2, 0.9, 0.5, 0.5, 0.9, 0.9),
        (-1, 0, 0, 0, 0, 0, 0),
    )
    unsure, late = (0, 1, 0.19, 0.6, 0.2, 0.8, 0.6), (0, 1, 0.9, 0.6, 0.2, 0.8, 0.6)
    fake = rows_fake(person, other, unsure, end, late)
    (found,) = SsdRowsDetector(ROWS, fake, OPTIONS).detect([picture(100, 200)])
    np.testing.assert_allclose(found.boxes, [[20, 20, 60, 60]], rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [{"min_score": 0.0}, {"min_score": 1.5}, {"overlap": 0.0}, {"overlap": -1.0}, {"fine_pixels": -1}],
)
def test_options_refuse_nonsense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        DetectorOptions(**wrong)  # type: ignore[arg-type]


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean pedestrian-ssdlite"):
        load_detector("pedestrian-ssd")


# --- the embedded model


def test_the_first_look_gives_tensorflows_boxes() -> None:
    with np.load(FIXTURE) as reference:
        shown = reference["images_bgr"][0]
        expected = (reference["detection_boxes"][0, :2] * 300)[:, [1, 0, 3, 2]]
        scores = reference["detection_scores"][0, :2]
    (found,) = load_detector(options=DetectorOptions(fine_pixels=0)).detect([shown])
    assert np.diag(iou(found.boxes[:2], expected)).min() > 0.9  # bfloat16 moves them by a pixel at most
    np.testing.assert_allclose(found.scores[:2], scores, atol=0.05)


def test_the_finer_look_finds_who_is_too_small_for_the_first() -> None:
    with np.load(FIXTURE) as reference:
        scene = reference["images_bgr"][0]
        person = 400 + reference["detection_boxes"][0, 1][[1, 0, 3, 2]] * 200
    frame = picture(720, 1280)
    frame[400:600, 400:600] = resize_bilinear(scene, 200, 200)
    assert len(load_detector(options=DetectorOptions(fine_pixels=0)).detect([frame])[0]) == 0
    (found,) = load_detector().detect([frame])
    assert iou(found.boxes[:1], person[None].astype(np.float32))[0, 0] > 0.5


# --- all models on real footage


def models_folder(folder: Path) -> Path:
    for spec in SPECS:
        for file in spec.files:
            if spec.task == "detect" and spec.location == "models":
                source, place = EVAL / "models" / file.name, folder / file.sha256 / file.name
                if not source.exists():
                    pytest.skip(f"{source} is not there")
                place.parent.mkdir(exist_ok=True)
                place.symlink_to(source)
    return folder


@pytest.mark.parametrize(
    ("name", "least"),
    [("pedestrian-ssdlite", 0.85), ("yolox-nano", 0.88), ("person-detection-retail-0013", 0.86)],
)
def test_average_precision_on_pets(name: str, least: float, tmp_path: Path) -> None:
    clip = EVAL / "pets09-s2l1" / "vtest.avi"
    if not clip.exists():
        pytest.skip(f"{clip} is not there")
    truth = read_truth(clip.parent / "gt.txt")
    with open_clip(clip) as opened:
        frames = {frame.index: frame.picture for frame in opened.frames() if frame.index % 40 == 0}
    detector = load_detector(name, models_folder(tmp_path), DetectorOptions(min_score=0.05))
    found = detector.detect(list(frames.values()))
    assert judge(found, [truth[index].boxes for index in frames]).average_precision() > least


# --- looking at parts


def test_a_part_is_looked_at_in_the_size_of_the_whole_and_its_boxes_are_the_pictures() -> None:
    sizes: list[tuple[int, ...]] = []

    def run(batch: Floats) -> tuple[Floats, ...]:
        sizes.append(batch.shape)
        return ssd_fake(0, 0.9, fine=True)(batch)

    part = np.array([[512, 256, 800, 544]], np.float32)
    (found,) = two_looks(ssd_fake(None), Fake(run)).detect([picture(720, 1280)], [part])
    assert sizes == [(1, 3, 289, 289), (1, 3, 129, 129)]  # at 720p the finest look is the picture's own size
    anchor = fine_anchors(289, 289)[0]
    y, x, height, width = (float(value) for value in anchor * 288 / 289)
    wanted = np.array([512 + x - width / 2, 256 + y - height / 2, 512 + x + width / 2, 256 + y + height / 2])
    np.testing.assert_allclose(found.boxes[0], wanted, atol=1.5)


def test_nothing_is_run_where_there_is_nothing_to_look_at_and_other_pictures_are_whole() -> None:
    sizes: list[tuple[int, ...]] = []

    def run(batch: Floats) -> tuple[Floats, ...]:
        sizes.append(batch.shape)
        return ssd_fake(None, fine=True)(batch)

    detector = two_looks(ssd_fake(1911), Fake(run))
    nothing = np.zeros((0, 4), np.float32)
    none, whole = detector.detect([picture(576, 768)] * 2, [nothing, None])
    assert len(none) == 0
    assert len(whole) == 1
    assert sizes == [(1, 3, 577, 769), (1, 3, 289, 385)]


def test_people_too_tall_for_the_finer_looks_are_found_in_parts_that_are_as_tall() -> None:
    nothing = ssd_fake(None, fine=True)
    tall = np.array([[100, 0, 700, 576]], np.float32)
    low = np.array([[100, 0, 700, 100]], np.float32)
    aside = np.array([[0, 0, 60, 576]], np.float32)
    detector = two_looks(ssd_fake(1911), nothing)
    counts = [len(detector.detect([picture(576, 768)], [part])[0]) for part in (tall, low, aside)]
    assert counts == [1, 0, 0]


@pytest.mark.parametrize("part", [(0, 0, 1, 1), (1279, 719, 1280, 720), (3, 5, 1277, 9), (0, 0, 1280, 720)])
def test_parts_of_any_size_and_place(part: tuple[int, ...]) -> None:
    detector = two_looks(ssd_fake(None), ssd_fake(None, fine=True))
    assert len(detector.detect([picture(720, 1280)], [np.array([part], np.float32)])[0]) == 0


def test_parts_show_the_embedded_detector_the_same_people() -> None:
    clip = EVAL / "pets09-s2l1" / "vtest.avi"
    if not clip.exists():
        pytest.skip("the real footage is not beside the repository")
    detector = load_detector()
    with open_clip(clip) as opened:
        frame = next(opened.frames(start_s=10.0)).picture
    (whole,) = detector.detect([frame])
    sure = whole.pick(whole.scores >= 0.6)
    parts = np.stack(
        [np.clip(box + np.array([-40, -40, 40, 40]), 0, [768, 576, 768, 576]) for box in sure.boxes[:1]]
    )
    (found,) = detector.detect([frame], [parts.astype(np.float32)])
    assert iou(sure.boxes[:1], found.boxes).max() > 0.7
