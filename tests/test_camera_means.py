"""Camera means: what cameras have in common with their pictures is taken out, people are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reid.camera_means import CameraMeans, Tally, centred, tally
from reid.vectors import unit_rows

F32 = NDArray[np.float32]
D = 32


def crowd(random: np.random.Generator, people: int, shift: F32, noise: float = 0.3) -> F32:
    """(people, D) unit rows: random people, seen by a camera that moves everybody the same way."""
    return unit_rows(unit_rows(random.normal(size=(people, D)).astype(np.float32)) + shift * noise * 3)


def tallies(random: np.random.Generator, cameras: int, people: int) -> tuple[dict[int, Tally], F32]:
    shifts = unit_rows(random.normal(size=(cameras, D)).astype(np.float32))
    counted: dict[int, Tally] = {
        camera: tally([row[None] for row in crowd(random, people, shifts[camera])])
        for camera in range(cameras)
    }
    return counted, shifts


def rank1(queries: F32, gallery: F32) -> float:
    return float((np.argmax(queries @ gallery.T, axis=1) == np.arange(len(queries))).mean())


def test_the_same_people_before_two_cameras_come_nearer() -> None:
    random = np.random.default_rng(1)
    people = unit_rows(random.normal(size=(60, D)).astype(np.float32))
    shifts = unit_rows(random.normal(size=(2, D)).astype(np.float32))
    views = [unit_rows(people + shift + random.normal(size=people.shape) * 0.12) for shift in shifts]
    means = CameraMeans({k: tally([row[None] for row in view]) for k, view in enumerate(views)}, D)
    plain = rank1(views[0], views[1])
    taken = [centred(view, means.of([k])[0]) for k, view in enumerate(views)]
    assert rank1(taken[0], taken[1]) > plain + 0.1


def test_a_photo_of_unknown_origin_finds_people_before_every_camera() -> None:
    # The photo's light is much like that of camera 1, so everybody there looks alike to it.
    random = np.random.default_rng(7)
    people = unit_rows(random.normal(size=(80, D)).astype(np.float32))
    shifts = unit_rows(random.normal(size=(2, D)).astype(np.float32))
    noise = random.normal(size=(2, *people.shape)) * 0.12
    views = [unit_rows(people + shift + noise[0]) for shift in shifts]
    photos = unit_rows(people + 0.7 * shifts[1] + noise[1])
    means = CameraMeans({k: tally([row[None] for row in view]) for k, view in enumerate(views)}, D)
    before = np.concatenate([views[0][:40], views[1][40:]])
    after = centred(before, means.of([0] * 40 + [1] * 40))
    assert rank1(centred(photos, means.overall), after) > rank1(photos, before) + 0.1


def test_somebody_who_stays_counts_once() -> None:
    random = np.random.default_rng(2)
    one, other = unit_rows(random.normal(size=(2, D)).astype(np.float32))
    again = unit_rows(one + random.normal(size=(40, D)).astype(np.float32) * 0.02)
    counted = tally([row[None] for row in (*again, other)])
    assert counted.count == 2
    np.testing.assert_allclose(counted.total, again[0] + other, atol=1e-5)


def test_a_camera_that_saw_one_person_all_day_still_shows_them() -> None:
    random = np.random.default_rng(3)
    counted, _ = tallies(random, 9, 200)
    person = unit_rows(random.normal(size=(1, D)).astype(np.float32))
    clips = [
        tally([unit_rows(person + random.normal(size=(1, D)).astype(np.float32) * 0.05)]) for _ in range(100)
    ]
    counted[99] = Tally(100, np.sum([each.total for each in clips], axis=0))
    means = CameraMeans(counted, D)
    naive = counted[99].total / counted[99].count
    query = centred(person, means.overall)
    shown = centred(person, means.of([99])[0])
    assert float(query[0] @ shown[0]) > 0.7
    assert np.linalg.norm(person - naive) < 0.1  # the plain mean would have left nothing of them


def test_few_people_say_little_of_a_camera() -> None:
    random = np.random.default_rng(4)
    counted, _ = tallies(random, 5, 500)
    counted[9] = tally([crowd(random, 1, np.zeros(D, np.float32))])
    means = CameraMeans(counted, D)
    apart = np.linalg.norm(means.of([9])[0] - means.overall)
    assert apart < 0.2 * np.linalg.norm(counted[9].total - means.overall)
    np.testing.assert_array_equal(means.of([77])[0], means.overall)  # a camera nothing is known of


def test_an_archive_of_one_person_keeps_them() -> None:
    person = unit_rows(np.random.default_rng(5).normal(size=(1, D)).astype(np.float32))
    means = CameraMeans({"a": tally([person])}, D)
    np.testing.assert_allclose(centred(person, means.of(["a"])[0]), person, atol=1e-6)


def test_an_empty_archive_has_no_mean() -> None:
    means = CameraMeans({}, D)
    assert not means.overall.any()
    assert means.of([]).shape == (0, D)
