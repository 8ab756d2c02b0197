"""The units of work of a city: one clip with its truth, or one photo. Done entirely or not at all.

A clip is written beside its place, made durable and renamed; then come its boxes, then what is known of
it. That last file says that the clip is done.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.city.clips import ClipPlan
from benchmarks.city.crowd import everybody
from benchmarks.city.members import Member, Missing, WalkPlan
from benchmarks.city.settings import CitySettings
from benchmarks.city.studio import Box, Filmed, Studio
from indexer.times import to_local_iso
from reid.durable import make_folder, sync_file, sync_folder, unfinished, write_file
from reid.errors import DamagedError, storage_errors
from reid.images import encode_jpeg
from search.demo.files import CLIP_ENDING, CityFiles
from search.demo.truth import SEEN, ClipTruth, PassageTruth, PersonTruth, mot_text

PART = ".part"
_PHOTO_QUALITY = 92


def clip_is_done(files: CityFiles, clip: ClipPlan) -> bool:
    """Was the clip rendered by an earlier run?"""
    name = clip.name + CLIP_ENDING
    return files.clip_truth(name).exists() and files.boxes(name).exists() and files.clip(name).exists()


def make_clip(files: CityFiles, clip: ClipPlan, settings: CitySettings, studio: Studio) -> None:
    """Render a clip and write its truth.

    Raises:
        StorageError: the disk refuses.
    """
    name = clip.name + CLIP_ENDING
    target = files.clip(name)
    walks = everybody(clip, settings)
    make_folder(target.parent)
    make_folder(files.boxes(name).parent)
    part = target.with_name(f".{target.stem}.{os.getpid()}{PART}{CLIP_ENDING}")
    with storage_errors(target):
        try:
            filmed = studio.film(part, clip, walks, settings.size)
            sync_file(part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(target.parent)
    write_file(files.boxes(name), mot_text(filmed.boxes).encode())
    people = {walk.member.id: walk.member for walk in walks}
    shown = {box[1] for box in filmed.boxes}
    content = {
        "clip": asdict(_clip_truth(clip, name, filmed, len(shown))),
        "passages": [
            asdict(row) for row in passages(clip.walks, name, filmed.boxes)
        ],
        "people": [asdict(person_truth(people[person], studio)) for person in sorted(shown)],
    }  # fmt: skip
    write_file(files.clip_truth(name), (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def make_photo(files: CityFiles, missing: Missing, studio: Studio) -> None:
    """Take and write the photo of a missing person, unless it is there.

    Raises:
        StorageError: the disk refuses.
    """
    target = files.photo(missing.member.id)
    if not target.exists():
        make_folder(target.parent)
        write_file(target, encode_jpeg(studio.photograph(missing), _PHOTO_QUALITY))


def read_clip_truth(files: CityFiles, clip: ClipPlan) -> tuple[ClipTruth, list[PassageTruth]]:
    """What `make_clip` wrote last.

    Raises:
        DamagedError: not what was written.
    """
    path = files.clip_truth(clip.name + CLIP_ENDING)
    try:
        with storage_errors(path):
            values = json.loads(path.read_text("utf-8"))
        return ClipTruth(**values["clip"]), [PassageTruth(**row) for row in values["passages"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"{path}: not what was written ({error}); delete it and run the same command"
        ) from None


def person_truth(member: Member, studio: Studio) -> PersonTruth:
    """Somebody as the truth keeps them."""
    looks = studio.looks(member)
    original = member.original.id if member.original else None
    return PersonTruth(
        member.id, member.role, member.age_group, looks.description, looks.attributes, original
    )


def passages(walks: Sequence[WalkPlan], clip: str, boxes: Sequence[Box]) -> list[PassageTruth]:
    """The passages of those who walk through a clip; who is never seen by more than a quarter has none."""
    seen: dict[int, list[Box]] = defaultdict(list)
    for box in boxes:
        if box[6] >= SEEN:
            seen[box[1]].append(box)
    found = []
    for walk in walks:
        rows = seen.get(walk.member.id)
        if rows:
            best = max(rows, key=lambda row: ((row[5] - row[3]) * row[6], -row[0]))
            found.append(
                PassageTruth(
                    walk.member.id,
                    clip,
                    walk.pattern,
                    rows[0][0],
                    rows[-1][0],
                    best[0],
                    round(best[5] - best[3], 1),
                    round(best[6], 2),
                )
            )
    return found


def _clip_truth(clip: ClipPlan, name: str, filmed: Filmed, people: int) -> ClipTruth:
    return ClipTruth(
        name, to_local_iso(clip.start), clip.site.place, clip.light, filmed.width, filmed.height,
        filmed.frame_rate, filmed.frames, people,
    )  # fmt: skip


def leftovers(files: CityFiles) -> list[Path]:
    """What killed runs left half-written; for the one run that holds the city's lock."""
    clips = [path for path in files.footage.rglob(f".*{PART}{CLIP_ENDING}") if path.is_file()]
    return clips + unfinished(files.root)
