"""The pictures and the clip of one confirmed sighting, made from the original where that is still there.

Owns what is written beside each other for a sighting, and what could not be made. Knows no manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from indexer.cutting import Cut, cut_clip, stretch
from indexer.frame import Frame
from indexer.pipeline import CONTEXT
from indexer.times import from_milliseconds, to_local_iso
from reid.boxes import Boxes, clip, pad
from reid.detector import Detector
from reid.durable import write_file
from reid.errors import FootageError, PhotoError
from reid.images import Picture, crop, decode_jpeg, draw_box, encode_jpeg, fit_within
from search.export import notes
from search.export.bystanders import Masks, masks_of
from search.export.footage import Footage
from search.export.frames import Best, best_frame
from search.export.notes import Note
from search.export.sheet import Confirmed

AROUND_S = 3.0
"""Seconds of footage before and after a sighting."""
_BATCH = 8  # frames whose people are looked for together
_QUALITY = 95  # of stills
_SHOWN = (960, 540)  # pixels of the picture on the page

Kind = Literal["person", "still", "still_with_box", "clip"]
MEDIA_TYPES = {".jpg": "image/jpeg", ".mp4": "video/mp4", ".mkv": "video/x-matroska"}


@dataclass(frozen=True)
class MediaFile:
    """A file made of a sighting.

    Attributes:
        kind: "person", the crop; "still", the best frame; "still_with_box", the same with the person's box
            drawn; "clip".
        name: relative to the export's folder.
        blurred: were bystanders hidden?
    """

    kind: Kind
    name: str
    blurred: bool


@dataclass(frozen=True)
class Exhibit:
    """What an export shows of one sighting.

    Attributes:
        sighting: the sighting.
        footage: its original.
        files: what was made.
        cut: the clip, if one could be cut.
        notes: what the reader must know.
        person, scene: JPEG for the page; the scene is empty without an original.
    """

    sighting: Confirmed
    footage: Footage
    files: tuple[MediaFile, ...]
    cut: Cut | None
    notes: tuple[Note, ...]
    person: bytes
    scene: bytes

    @property
    def complete(self) -> bool:
        """Is nothing missing?"""
        return not any(note.lacks for note in self.notes)


def make_media(
    sighting: Confirmed,
    footage: Footage,
    root: Path,
    folder: str,
    blurrer: Detector | None,
    progress: Callable[[float], None],
) -> Exhibit:
    """Write the files of one sighting.

    Args:
        sighting: the sighting.
        footage: its original, compared.
        root: of the export; `folder` is the sighting's, relative to it, and must be there.
        blurrer: finds bystanders, who are then hidden; None: nothing is hidden.
        progress: told the seconds of footage just done, now and then.

    Raises:
        StorageError: the disk refuses.
    """
    made = _Made(sighting, footage, root, folder, blurrer)
    if footage.usable:
        try:
            made.from_footage(progress)
        except FootageError as error:
            made.refuse(Footage("unreadable", footage.path, error.reason))
        if made.footage.usable and not footage.unchanged():
            made.refuse(Footage("changed", footage.path))
    made.finish()
    return made.exhibit()


class _Made:
    """The files of one sighting while they are made."""

    def __init__(
        self, sighting: Confirmed, footage: Footage, root: Path, folder: str, blurrer: Detector | None
    ) -> None:
        self.sighting, self.footage = sighting, footage
        self._root, self._folder, self._blurrer = root, folder, blurrer
        self._files: list[MediaFile] = []
        self._cut: Cut | None = None
        self._notes: list[Note] = []
        self._person = self._scene = b""

    def exhibit(self) -> Exhibit:
        """What was made."""
        about = [notes.footage_note(self.footage.state, str(self.footage.path), self.footage.detail)]
        row = self.sighting.clip
        about.append(notes.start_note(row.start_source) if row else None)
        if self.sighting.camera.clock_uncertainty_s is None:
            about.append(notes.CLOCK_UNCHECKED)
        if self.sighting.erased_ms is not None:
            when = to_local_iso(from_milliseconds(self.sighting.erased_ms))
            about.append(notes.erased_note(when))
        told = tuple(dict.fromkeys(note for note in (*about, *self._notes) if note))
        return Exhibit(
            self.sighting, self.footage, tuple(self._files), self._cut, told, self._person, self._scene
        )

    def refuse(self, footage: Footage) -> None:
        """What was made of this original is not to be used."""
        for file in self._files:
            (self._root / file.name).unlink(missing_ok=True)
        self.footage = footage
        self._files, self._cut, self._notes, self._person, self._scene = [], None, [], b"", b""

    def from_footage(self, progress: Callable[[float], None]) -> None:
        """Stills and clip; raises FootageError when the original cannot be read."""
        best = best_frame(self.footage.path, self.sighting)
        start_s, end_s = self.sighting.interval_s
        start_s, end_s = start_s - AROUND_S, end_s + AROUND_S
        masks = self._masks(start_s, end_s, best, progress) if self._blurrer else None
        if best.frame is None:
            self._notes.append(notes.PICTURE_DIFFERS)
        else:
            self._stills(best.frame, masks)
        change = masks.paint if masks else None
        try:
            self._cut = cut_clip(
                self.footage.path, self._root / self._folder / "clip", start_s, end_s, change,
                from_start=best.from_start,
            )  # fmt: skip
        except FootageError as error:
            self._notes.append(notes.not_cut_note(error.reason))
        else:
            self._files.append(MediaFile("clip", f"{self._folder}/{self._cut.path.name}", masks is not None))
            if not self._cut.copied and not masks:
                self._notes.append(notes.encoded_note(self._cut.reason))
            if masks:
                self._notes += _about(masks, self._cut)
        progress((end_s - start_s) / 2 if masks else end_s - start_s)

    def finish(self) -> None:
        """The stored picture, when there is none from the original."""
        if not self._person:
            self._notes.append(notes.THUMBNAIL_ONLY)
            self._put_person(self._stored())

    def _put_person(self, data: bytes) -> None:
        self._person = data
        self._write("person", data)

    def _write(self, kind: Kind, data: bytes) -> None:
        name = f"{self._folder}/{kind.replace('_', '-')}.jpg"
        write_file(self._root / name, data)
        self._files.append(MediaFile(kind, name, self._blurrer is not None))

    def _masks(self, start_s: float, end_s: float, best: Best, progress: Callable[[float], None]) -> Masks:
        assert self._blurrer is not None
        times, found = [], []
        frames = stretch(self.footage.path, start_s, end_s, from_start=best.from_start)
        reached_s = max(0.0, start_s)
        for part in _batches(frames):
            found += self._blurrer.detect([frame.picture for frame in part])
            times += [frame.time_s for frame in part]
            progress((times[-1] - reached_s) / 2)
            reached_s = times[-1]
        box = np.array(self.sighting.record.box, np.float32)
        if best.frame is None:  # nobody knows where the person is in this clip
            return masks_of(times, found, 0.0, np.zeros(4, np.float32))
        return masks_of(times, found, best.frame.time_s, box)

    def _stills(self, frame: Frame, masks: Masks | None) -> None:
        box = np.array(self.sighting.record.box, np.float32)
        if masks and (hidden := masks.by_time.get(frame.time_s)) and hidden.person is None:
            self._notes.append(notes.ALL_BLURRED)
        picture = masks.paint(frame) if masks else frame.picture
        drawn = draw_box(picture, box)
        self._put_person(
            encode_jpeg(crop(picture, pad(box[None], CONTEXT)[0]), _QUALITY)
            if masks
            else self.sighting.thumbnail
        )
        self._write("still", encode_jpeg(picture, _QUALITY))
        self._write("still_with_box", encode_jpeg(drawn, _QUALITY))
        self._scene = encode_jpeg(fit_within(drawn, *_SHOWN))

    def _stored(self) -> bytes:
        """The stored picture, without bystanders if these are to be hidden."""
        if self._blurrer is None:
            return self.sighting.thumbnail
        try:
            picture = decode_jpeg(self.sighting.thumbnail)
        except PhotoError:
            return self.sighting.thumbnail
        found = self._blurrer.detect([picture])
        masks = masks_of([0.0], found, 0.0, _box_in_thumbnail(self.sighting, picture))
        hidden = masks.by_time[0.0]
        if hidden.person is None and len(hidden.bodies):
            self._notes.append(notes.ALL_BLURRED)
        return encode_jpeg(hidden.paint(picture), _QUALITY)


def _about(masks: Masks, cut: Cut) -> Iterator[Note]:
    if masks.followed_s is None:
        yield notes.ALL_BLURRED
        return
    since_s, until_s = masks.followed_s
    if since_s > cut.start_s + 0.5 or until_s < cut.end_s - 0.5:
        yield notes.followed_note(since_s - cut.start_s, until_s - cut.start_s)
    if masks.covered:
        yield notes.covered_note(masks.covered, len(masks.by_time))


def _box_in_thumbnail(sighting: Confirmed, picture: Picture) -> Boxes:
    """(4,) the person's box in the stored picture, which shows some more around it."""
    record = sighting.record
    box = np.array([record.box], np.float32)
    shown = clip(pad(box, CONTEXT), *record.frame)[0]
    scale = picture.shape[0] / max(float(shown[3] - shown[1]), 1.0)
    return np.asarray((box[0] - np.tile(shown[:2], 2)) * scale, np.float32)


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    while part := list(islice(frames, _BATCH)):
        yield part
