"""The real studio: people and places as `reid.people` renders them. Needs the extra `synthetic`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import reid.people
from benchmarks.city.clips import ClipPlan
from benchmarks.city.members import Member, Missing, WalkPlan
from benchmarks.city.paths import Points, lay_walk
from benchmarks.city.studio import Filmed, Looks
from reid.images import Picture
from reid.people.footage import film
from reid.people.labels import attributes, describe
from reid.people.motion import Walk
from reid.people.outfits import Outfit, lookalike, make_outfit
from reid.people.persons import Person, make_person
from reid.people.photos import take_photo
from reid.people.view import View, make_view

_SEASONS = ("mild", "mild", "winter")  # what people wear in early November
_TRIES = 50
_MARGIN = 0.03  # of the picture's width, within which somebody is cut by its edge
_NEAR_M = 0.4  # something this much nearer than a person hides them


class Stage:
    """See `benchmarks.city.studio.Studio`."""

    def looks(self, member: Member) -> Looks:
        """How somebody looks, in words."""
        person, outfit = cast(member)
        return Looks(describe(person, outfit), {"years": round(person.years), **attributes(person, outfit)})

    def photograph(self, missing: Missing) -> Picture:
        """The photo of a missing person, in the clothes they wear or, after a change, in others."""
        person, outfit = cast(missing.member)
        if missing.clothes_change:
            outfit = make_outfit(person, missing.photo_outfit_seed)
        return take_photo(person, outfit, missing.photo_kind, missing.photo_seed)

    def film(self, path: Path, clip: ClipPlan, walks: Sequence[WalkPlan], size: tuple[int, int]) -> Filmed:
        """Write a clip; every other camera burns its clock into the picture."""
        view = _view(clip.site.seed, clip.site.place, clip.light, *size)
        clock = clip.shown_start if clip.site.seed % 2 else None
        noise = clip.site.seed + clip.number
        rows = film(path, view, [_walk(walk, view) for walk in walks], clip.seconds, noise, clock)
        rate = float(view.electronics.frame_rate)
        return Filmed(
            view.camera.width, view.camera.height, rate, round(clip.seconds * rate),
            tuple((row.frame, row.person_id, row.x1, row.y1, row.x2, row.y2, row.visibility) for row in rows),
        )  # fmt: skip


def cast(member: Member) -> tuple[Person, Outfit]:
    """Body and clothes of a member; a lookalike is of the original's sex."""
    if member.original is None:
        person = make_person(member.seed, member.age_group)
        return person, make_outfit(person, member.outfit_seed, member.uniform, _season(member))
    original, outfit = cast(member.original)
    tries = (make_person(member.seed + number, member.age_group) for number in range(_TRIES))
    person = next(each for each in tries if each.male == original.male)
    return person, lookalike(outfit, person, member.outfit_seed)


def make_stage() -> Stage:
    """A studio for one process."""
    return Stage()


def renderer_digest() -> str:
    """Which renderer this is: 64 hex digits of its source."""
    digest = hashlib.sha256()
    for path in sorted(Path(reid.people.__path__[0]).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _season(member: Member) -> str | None:
    return None if member.uniform else _SEASONS[member.outfit_seed % len(_SEASONS)]


def _walk(plan: WalkPlan, view: View) -> Walk:
    person, outfit = cast(plan.member)
    laid = lay_walk(
        plan, view.scene.routes, view.scene.walkable, lambda path: shown_height(view, path, person.height_m)
    )
    return Walk(
        plan.member.id, person, outfit, laid.path, laid.start_s, speed_m_s=plan.speed_m_s, pauses=laid.pauses
    )


def shown_height(view: View, places: Points, height_m: float) -> NDArray[np.float64]:
    """(K,) pixels from sole to crown of somebody at (K, 2) `places`; 0 where not wholly seen."""
    camera = view.camera
    feet, waist, crown = (
        camera.project(np.column_stack([places, np.full(len(places), height)]))
        for height in (0.0, height_m / 2, height_m)
    )
    inside = (feet[:, 2] > 0) & (crown[:, 2] > 0)
    for ends in (feet, crown):
        inside &= (ends[:, 0] > _MARGIN * camera.width) & (ends[:, 0] < (1 - _MARGIN) * camera.width)
        inside &= (ends[:, 1] > 0) & (ends[:, 1] < camera.height)
    column, row = (
        np.clip(waist[:, axis].astype(int), 0, size - 1)
        for axis, size in ((0, camera.width), (1, camera.height))
    )
    free = view.depth[row, column] > waist[:, 2] - _NEAR_M
    return np.where(inside & free, np.abs(feet[:, 1] - crown[:, 1]), 0.0).astype(np.float64)


@lru_cache(maxsize=3)
def _view(seed: int, place: str, light: str, width: int, height: int) -> View:
    return make_view(seed, place=place, light=light, width=width, height=height)
