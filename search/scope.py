"""Whether what is asked can be searched: contradictions are refused, doubts are told, with a next step.

Owns the messages. Only asked of people, before a search; a replay asks what was asked, whatever came of it.
"""

from __future__ import annotations

from indexer.distances import distance_m
from indexer.snapshot import Snapshot
from indexer.times import from_milliseconds, to_local_iso
from reid.errors import InputError, UnknownNameError
from search.filters import Filters

_SHOWN = 4  # names in a line


def check_scope(filters: Filters, snapshot: Snapshot, now_ms: int) -> tuple[str, ...]:
    """Doubts about what is asked, each a line that says what to do.

    Args:
        filters: asked. snapshot: of the catalogue. now_ms: the present, milliseconds since 1970 UTC.

    Raises:
        InputError: nothing can be found: a window that has not begun, cameras that are all elsewhere.
        UnknownNameError: no camera of the archive has any of the ids; suggests the nearest.
    """
    if filters.since_ms is not None and filters.since_ms > now_ms:
        raise InputError(
            f"the window begins at {_iso(filters.since_ms)}, which is still to come (now it is"
            f" {_iso(now_ms)}); give an earlier --since"
        )
    notes = _cameras(filters, snapshot)
    _near(filters, snapshot)
    return (*notes, *_districts(filters, snapshot), *_window(filters, snapshot))


def _cameras(filters: Filters, snapshot: Snapshot) -> list[str]:
    """Cameras that are nowhere, or not in these districts."""
    if not filters.cameras or not snapshot.cameras:
        return []
    here = {camera for district, camera in snapshot.cameras if district in filters.districts}
    strange = [camera for camera in filters.cameras if camera not in here]
    doubts = []
    for camera in strange:
        elsewhere = sorted(district for district, each in snapshot.cameras if each == camera)
        if elsewhere:
            doubts.append(
                f"camera {camera} is not in the asked districts but in {', '.join(elsewhere)}; add"
                f" --district {elsewhere[0]}"
            )
            continue
        known = UnknownNameError("camera", camera, sorted(here or {each for _, each in snapshot.cameras}))
        doubts.append(f"{known}" + ("" if known.suggestions else "; see: reid cameras list"))
    if len(strange) == len(filters.cameras):
        raise InputError("; ".join(doubts[:_SHOWN]) + "; so nothing would be searched")
    return [f"{doubt}; it is left out" for doubt in doubts]


def _near(filters: Filters, snapshot: Snapshot) -> None:
    """No camera within the radius."""
    near, scope = filters.near, filters.within(snapshot)
    if near is None or scope.keys:
        return
    asked = [
        (key, camera) for key, camera in sorted(snapshot.cameras.items())
        if key[0] in filters.districts and (not filters.cameras or key[1] in filters.cameras)
    ]  # fmt: skip
    distances = [
        (distance_m(near.latitude, near.longitude, camera.latitude, camera.longitude), key)
        for key, camera in asked
        if camera.latitude is not None and camera.longitude is not None
    ]
    point = f"{near.latitude:g},{near.longitude:g}"
    if not distances:
        raise InputError(
            f"--near {point}: nobody knows where any of the {len(asked)} asked cameras is; register their"
            " places with: reid cameras add FILE, or leave --near out"
        )
    metres, key = min(distances)
    unplaced = f"; {len(scope.unplaced)} cameras have no place" if scope.unplaced else ""
    raise InputError(
        f"--near {point}: no asked camera lies within {near.metres / 1000:g} km; the nearest is"
        f" {'/'.join(key)}, {metres / 1000:.1f} km away{unplaced}; widen with --within, or check the order:"
        " latitude,longitude"
    )


def _districts(filters: Filters, snapshot: Snapshot) -> list[str]:
    """None of the asked districts has a camera here."""
    holding = sorted({district for district, _ in snapshot.cameras})
    if not holding or set(filters.districts) & set(holding):
        return []
    more = f" and {len(holding) - _SHOWN} more" if len(holding) > _SHOWN else ""
    return [
        f"this archive holds no camera of {', '.join(filters.districts[:_SHOWN])}; it holds cameras of"
        f" {', '.join(holding[:_SHOWN])}{more}: nothing is searched"
    ]


def _window(filters: Filters, snapshot: Snapshot) -> list[str]:
    """The window misses all the footage of the asked cameras."""
    keys = filters.within(snapshot).keys
    clips = [snapshot.clocks.clip(clip) for clip in snapshot.clips if (clip.district, clip.camera) in keys]
    if not clips:
        return []
    begin, end = min(clip.start_ms for clip in clips), max(clip.end_ms for clip in clips)
    since, until = filters.since_ms, filters.until_ms
    if (until is None or until > begin) and (since is None or since <= end):
        return []
    return [
        f"the indexed footage of the asked cameras lies between {_iso(begin)} and {_iso(end)}, all outside"
        " the asked window: nothing is searched; change --since and --until, or index that time"
    ]


def _iso(milliseconds: int) -> str:
    return to_local_iso(from_milliseconds(milliseconds))
