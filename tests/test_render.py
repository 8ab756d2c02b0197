"""People in views: boxes and visibility against the pixels, light, films, photos and crops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reid.errors import InputError, UnknownNameError

pytest.importorskip("anny", reason="needs the extra `synthetic`")
pytest.importorskip("numba", reason="needs the extra `synthetic`")

from benchmarks.footage import read_truth
from indexer.video import open_clip
from reid.labelled import read_folder
from reid.people import labels
from reid.people.camera import aimed
from reid.people.crops import make_crops, make_subjects, write_crops
from reid.people.electronics import Electronics
from reid.people.figure import Figure, build_figure
from reid.people.footage import film, mot_lines, render_frames
from reid.people.kernels import solids
from reid.people.kernels.cloth import BAG, MATERIALS, STRAP
from reid.people.light import Light, LocalLight
from reid.people.motion import Walk, Walker
from reid.people.outfits import make_outfit
from reid.people.persons import make_person
from reid.people.photos import PHOTO_KINDS, take_photo
from reid.people.render import Region, body_box, draw, stage, stand
from reid.people.scene import Scene
from reid.people.view import View

WIDTH, HEIGHT = 320, 240
WHOLE = Region(0, 0, WIDTH, HEIGHT)
GREY = 0.4
SEED_OF_TALL_PEOPLE = 3


def plain_view(hardness: float = 0.0, sun: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> View:
    """A flat grey ground, seen from 3 m; the light from `sun`."""
    camera = aimed(WIDTH, HEIGHT, 300.0, 3.0, 0.3, 0.0, 0.0)
    rays = camera.rays(
        np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), -1).reshape(-1, 2)
    )
    depth = np.where(rays[:, 2] < -1e-6, -3.0 / np.minimum(rays[:, 2], -1e-6), 1e9)
    direction = np.array(sun, np.float32) / np.linalg.norm(sun)
    ones = np.ones(3, np.float32)
    local = LocalLight(direction.astype(np.float32), 2 * ones, ones, 0.3 * ones, hardness)
    route = np.array([[-0.8, 4.6], [0.8, 4.6]])
    scene = Scene(
        "plaza",
        np.zeros((0, solids.COLUMNS), np.float32),
        np.zeros((1, 1), np.float32),
        (),
        (route,),
        (-20, 2, 20, 40),
    )
    return View(
        camera, Light("sun", local, (), ones, ones), scene,
        Electronics(gain=0.5, noise=0.0, blur=0.0, sharpness=0.0),
        np.full((HEIGHT, WIDTH, 3), GREY, np.float32), depth.reshape(HEIGHT, WIDTH).astype(np.float32),
        None, 0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def figure() -> Figure:
    person = make_person(3, "adult")
    outfit = make_outfit(person, 5)
    none = {name: replace(getattr(outfit, name), kind="none") for name in ("bag", "aid", "hat")}
    return build_figure(person, replace(outfit, **none))


def changed(view: View, picture: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - view.background).max(axis=2) > 1e-4)


def test_a_box_is_where_the_pixels_change(figure: Figure) -> None:
    view = plain_view()
    dark = replace(view, depth=np.full_like(view.depth, 1e9))  # a background without ground takes no shadow
    for x, y, heading in ((0, 8, 0.0), (1.5, 6, 2.0), (-2, 12, 4.0)):
        actor = stand(figure, np.array([x, y]), heading, figure.pose(0.2))
        box = body_box(view.camera, actor)
        assert box is not None
        rows, columns = np.nonzero(changed(dark, draw(dark, [stage(dark, actor)], WHOLE).picture))
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box == pytest.approx(seen, abs=2.0)


def test_feet_are_at_the_place_asked_for(figure: Figure) -> None:
    view = plain_view()
    for x, y in ((0.0, 6.0), (2.0, 10.0)):
        box = body_box(view.camera, stand(figure, np.array([x, y]), 0.5, figure.pose(0.0, 1.0)))
        assert box is not None
        ground = view.camera.ground(np.array([[(box[0] + box[2]) / 2, box[3]]]))[0]
        assert ground == pytest.approx([x, y], abs=0.45)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_visibility_is_the_share_of_the_silhouette_before_everything_else(
    figure: Figure, share: float
) -> None:
    view = plain_view()
    actor = stand(figure, np.array([0.0, 8.0]), -np.pi / 2, figure.pose(0.0, 1.0))
    box = body_box(view.camera, actor)
    assert box is not None
    depth = view.depth.copy()
    depth[:, : round(float(box[0] + (1 - share) * (box[2] - box[0])))] = 1.0  # a wall before the left part
    drawing = draw(replace(view, depth=depth), [stage(view, actor)], WHOLE)
    assert drawing.visible[0] == pytest.approx(share, abs=0.08)
    whole = draw(view, [stage(view, actor)], WHOLE)
    assert drawing.mask(0).shape == drawing.picture.shape[:2]
    assert drawing.mask(0).sum() == pytest.approx(share * whole.mask(0).sum(), rel=0.2, abs=2000)
    painted = (whole.picture != draw(view, [], WHOLE).picture).any(axis=2)
    assert painted[whole.mask(0) > 0].mean() > 0.99


def test_the_nearer_person_hides_the_farther(figure: Figure) -> None:
    view = plain_view()
    near = stand(figure, np.array([0.0, 6.0]), 0.0, figure.pose(0.0))
    far = stand(figure, np.array([0.0, 7.0]), 0.0, figure.pose(0.0))
    for order in ([near, far], [far, near]):  # the order of the list must not matter
        visible = dict(
            zip(
                (id(each) for each in order),
                draw(view, [stage(view, a) for a in order], WHOLE).visible,
                strict=True,
            )
        )
        assert visible[id(near)] == pytest.approx(1.0, abs=0.01)
        assert visible[id(far)] < 0.5


def test_shadows_fall_away_from_the_sun(figure: Figure) -> None:
    view = plain_view(1.0, (-1.0, 0.0, 0.8))  # the sun stands left
    actor = stand(figure, np.array([0.0, 8.0]), 0.0, figure.pose(0.0))
    box = body_box(view.camera, actor)
    assert box is not None
    picture = draw(view, [stage(view, actor)], WHOLE).picture
    left, right = int(box[0]) - 6, int(box[2]) + 6
    lower = slice(int(box[3]) - 25, int(box[3]) + 4)
    darker = (picture[lower].mean(axis=2) < 0.6 * GREY).sum(axis=0)
    assert darker[right : right + 40].sum() > 100
    assert darker[:left].sum() == 0


def test_what_is_lit_is_brighter_than_what_is_not(figure: Figure) -> None:
    actor = stand(figure, np.array([0.0, 8.0]), 0.0, figure.pose(0.0))
    bright, dim = (
        plain_view(0.0, (0.0, -1.0, 0.5)),
        plain_view(0.0, (0.0, 1.0, 0.05)),
    )  # before and behind the person
    shown = [
        draw(v, [stage(v, actor)], WHOLE)
        .picture[changed(v, draw(v, [stage(v, actor)], WHOLE).picture)]
        .mean()
        for v in (bright, dim)
    ]
    assert shown[0] > 1.3 * shown[1]


def walk(person_id: int = 4, **changes: object) -> Walk:
    person = make_person(8, "adult")
    values = {"path": np.array([[-4.0, 8.0], [4.0, 8.0]]), "start_s": 0.5, "speed_m_s": 2.0, **changes}
    return Walk(person_id, person, make_outfit(person, 1), **values)  # type: ignore[arg-type]


def test_a_walker_keeps_its_times_and_pauses() -> None:
    walker = Walker(walk(pauses=((2.0, 3.0),)))
    assert walker.actor(0.4) is None
    assert walker.seconds == pytest.approx(8.0 / 2 + 3)
    at = {moment: walker.actor(moment) for moment in (0.5, 1.0, 1.5, 3.0, 4.4, 5.5, 7.4)}
    places = {moment: float(actor.place[0]) for moment, actor in at.items() if actor}
    expected = {0.5: -4.0, 1.0: -3.0, 1.5: -2.0, 3.0: -2.0, 4.4: -2.0, 5.5: 0.0, 7.4: 3.8}
    assert places == pytest.approx(expected, abs=0.2)
    assert walker.actor(7.6) is None


def test_a_film_holds_what_its_truth_says(tmp_path: Path) -> None:
    view = plain_view()
    told: list[float] = []
    rows = film(tmp_path / "a.mp4", view, [walk()], 3.0, 1, progress=told.append)
    (tmp_path / "gt.txt").write_text(mot_lines(rows))
    truth = read_truth(tmp_path / "gt.txt")
    assert told[-1] == 1.0
    with open_clip(tmp_path / "a.mp4") as clip:
        pictures = [frame.picture for frame in clip.frames(10)]
    assert len(pictures) == 30
    assert set(truth) == {row.frame for row in rows} == set(range(min(truth), max(truth) + 1))
    for frame in (10, 20):
        difference = np.abs(pictures[frame].astype(int) - pictures[0]).max(axis=2) > 40
        columns = np.nonzero(difference)[1]
        x1, _, x2, _ = truth[frame].boxes[0]
        assert (columns.min() + columns.max()) / 2 == pytest.approx((x1 + x2) / 2, abs=14)
        assert truth[frame].people.tolist() == [4]


def test_the_same_seed_films_the_same_bytes_also_in_another_process(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nfrom reid.people.footage import film\nimport sys\n"
        "from tests.test_render import plain_view, walk\n"
        "film(Path(sys.argv[1]), plain_view(), [walk()], 1.0, 1)\n"
    )
    film(tmp_path / "a.mp4", plain_view(), [walk()], 1.0, 1)
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "b.mp4")], check=True, cwd=Path(__file__).parents[1]
    )
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_clock_is_burnt_in_only_when_asked_for(tmp_path: Path) -> None:
    view = plain_view()
    clock = datetime(2025, 11, 3, 15, 0, tzinfo=timezone(timedelta(hours=9)))
    for name, moment in (("with", clock), ("without", None)):
        film(tmp_path / f"{name}.mp4", view, [], 0.5, 1, clock=moment)
    corners = {}
    for name in ("with", "without"):
        with open_clip(tmp_path / f"{name}.mp4") as clip:
            corners[name] = next(iter(clip.frames(10))).picture[:25, :120]
    assert np.ptp(corners["without"]) < 30
    assert np.ptp(corners["with"]) > 120


def test_footage_without_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        film(tmp_path / "a.mp4", plain_view(), [], 0.0, 1)


def test_people_outside_the_picture_have_no_truth() -> None:
    away = walk(path=np.array([[40.0, 8.0], [44.0, 8.0]]), start_s=0.0)
    assert all(not boxes for _, _, boxes in render_frames(plain_view(), [away], 5, 1))


@pytest.mark.parametrize("kind", PHOTO_KINDS)
def test_photos_show_the_person_and_repeat(kind: str) -> None:
    person = make_person(21, "elder")
    outfit = make_outfit(person, 3)
    photo = take_photo(person, outfit, kind, 2)
    assert np.array_equal(photo, take_photo(person, outfit, kind, 2))
    assert not np.array_equal(photo, take_photo(person, outfit, kind, 3))
    assert photo.shape == (960, 720, 3) or (kind == "cctv" and photo.shape[0] >= 170)
    assert photo.std() > 15


def test_an_unknown_kind_of_photo_is_refused() -> None:
    person = make_person(1)
    with pytest.raises(UnknownNameError, match="phone"):
        take_photo(person, make_outfit(person, 1), "fone", 1)


def test_crops_carry_their_labels_and_make_a_folder_that_can_be_evaluated(tmp_path: Path) -> None:
    subjects = make_subjects(SEED_OF_TALL_PEOPLE, 4, outfits=2)
    assert min(subject.person.height_m for subject in subjects) > 1.4  # all of them fit the picture
    views = [plain_view(), plain_view(1.0, (-1, 0, 1))]
    crops = list(make_crops(subjects, views, 2, 9, first_camera=5))
    assert len(crops) == 4 * 2 * 2 * 2
    assert {(label.person_id, label.outfit_id, label.camera_id) for _, label in crops} == {
        (p, o, c) for p in range(4) for o in (0, 1) for c in (5, 6)
    }
    for picture, label in crops:
        assert picture.dtype == np.uint8
        assert 0.35 <= label.visibility <= 1
        assert 70 <= label.height_px <= 420
        assert abs(picture.shape[0] - label.height_px) < 0.35 * label.height_px
    again = list(make_crops(subjects, views, 2, 9, first_camera=5))
    assert all(np.array_equal(a, b) and x == y for (a, x), (b, y) in zip(crops, again, strict=True))
    assert write_crops(tmp_path, crops, subjects) == len(crops)
    folder = read_folder(tmp_path)
    assert len(folder.images) == len(crops)


def test_the_side_a_crop_shows_is_named_right(figure: Figure) -> None:
    from reid.people.crops import _side

    view = plain_view()
    sides: list[tuple[float, Callable[[float], bool]]] = [
        (-np.pi / 2, lambda d: min(d, 360 - d) < 5),  # walks towards the camera: the face
        (np.pi / 2, lambda d: abs(d - 180) < 5),  # away: the back
        (0.0, lambda d: abs(d - 270) < 5),  # to the right: the person's right side
    ]
    for heading, right in sides:
        assert right(_side(view, stand(figure, np.array([0.0, 8.0]), heading, figure.pose(0.0))))


def test_what_is_seen_of_a_bag_is_measured(figure: Figure) -> None:
    bare, view, place = figure.outfit, plain_view(), np.array([0.0, 8.0])
    packed = build_figure(figure.person, replace(bare, bag=replace(bare.bag, kind="backpack", seed=1)))
    seen = {}
    for heading in (-np.pi / 2, np.pi / 2):  # towards the camera, away from it
        staged = stage(view, stand(packed, place, heading, packed.pose(0.0)))
        drawing = draw(view, [staged], WHOLE)
        seen[heading] = drawing.share(0, BAG, STRAP)
        assert drawing.share(0, *range(MATERIALS)) == 1.0
        assert set(np.unique(drawing.mask(0))) == {0, labels.PERSON, labels.BAG}
        assert (drawing.mask(0) > 0).mean() == pytest.approx((drawing.owner == 0).mean(), rel=0.02)
    assert seen[np.pi / 2] > 0.08 > seen[-np.pi / 2] > 0.005
    without = draw(view, [stage(view, stand(figure, place, np.pi / 2, figure.pose(0.0)))], WHOLE)
    assert without.share(0, BAG, STRAP) == 0.0
    assert without.share(1, BAG) == 0.0  # nobody


def test_subjects_need_people() -> None:
    with pytest.raises(InputError, match="at least one person"):
        make_subjects(1, 0)
