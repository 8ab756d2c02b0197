"""Cutting: some seconds of a clip as a file of its own, the packets as they are wherever that is possible.

Owns how a stretch is copied, and how it is encoded when it cannot be copied or its pictures are to be
changed. Sound is left out. Knows no camera, no person and no calendar: times are seconds since the clip's
first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from indexer.decoder import open_container, video_stream
from indexer.frame import Frame
from indexer.video import Clip, open_clip
from reid.durable import sync_file
from reid.errors import FootageError, storage_errors
from reid.images import Picture

_IN_MP4 = frozenset({"h264", "hevc", "mpeg4", "av1"})
_TOLERANCE_S = 0.001
_MARGINS_S = (0.0, 10.0, 60.0)
_MOST_REORDERED = 16  # frames that a codec may hold back
_COMPARED = 3  # frames of a copy
_ALIKE = 2.0  # grey levels that two decodings of the same packets may differ by, on average
_TICKS = 90_000  # timestamps a second of what is encoded
_ENCODER = {"crf": "18", "preset": "veryfast"}  # finer than most recorders


@dataclass(frozen=True)
class Cut:
    """A stretch of a clip as a file.

    Attributes:
        path: the file; its ending fits what is in it.
        start_s, end_s: first and last frame, seconds since the original's first frame.
        copied: its packets are those of the original; False: encoded anew.
        codec: FFmpeg's name.
        frames: in it.
        reason: why it was encoded anew; empty when it was copied.
    """

    path: Path
    start_s: float
    end_s: float
    copied: bool
    codec: str
    frames: int
    reason: str = ""


class _CannotCopyError(Exception):
    """The stretch cannot be copied; says why."""


def cut_clip(
    source: Path,
    stem: Path,
    start_s: float,
    end_s: float,
    change: Callable[[Frame], Picture] | None = None,
    *,
    from_start: bool = False,
) -> Cut:
    """Write the frames between two times to a file.

    A copy begins with the last key frame not later than `start_s`. What is encoded anew begins with the first
    frame not earlier than it.

    Args:
        source: the clip.
        stem: where, without the ending: .mp4, or .mkv for what an MP4 does not take.
        start_s, end_s: seconds since the clip's first frame; may lie outside of it.
        change: called with each frame; the pictures it gives, of the same size, are encoded.
        from_start: encode, reading the clip from its beginning, as for clips whose times were repaired, where
            seeking meets the wrong place.

    Raises:
        FootageError: the clip cannot be read, or has no frame in this stretch.
        StorageError: the disk refuses.
    """
    start_s = max(0.0, start_s)
    with open_clip(source) as clip, storage_errors(stem.parent):
        reason = "the pictures were changed" if change else ""
        if from_start and not reason:
            reason = "the recording's timestamps are damaged"
        if not reason:
            target = stem.with_name(f"{stem.name}.{'mp4' if clip.codec in _IN_MP4 else 'mkv'}")
            try:
                return _copied(clip, target, start_s, end_s)
            except _CannotCopyError as error:
                target.unlink(missing_ok=True)
                reason = str(error)
        frames = _stretch(clip, start_s, end_s, from_start)
        return _encoded(clip, stem.with_name(f"{stem.name}.mp4"), frames, change, reason)


def _copied(clip: Clip, target: Path, start_s: float, end_s: float) -> Cut:
    with open_container(clip.path) as container:
        stream, _ = video_stream(clip.path, container)
        try:
            begin, packets = _packets(container, stream, clip.zero_s + start_s, clip.zero_s + end_s)
            with av.open(f"file:{target}", "w") as out:
                _mux(out, stream, begin, packets)
        except (av.FFmpegError, ValueError) as error:
            raise _CannotCopyError(f"its packets cannot be copied ({error})") from None
        began_s = _seconds(begin, stream) - clip.zero_s
    return _checked(clip, target, began_s, start_s)


def _packets(
    container: InputContainer, stream: VideoStream, start_s: float, end_s: float
) -> tuple[int, Iterator[Packet[VideoStream]]]:
    """Presentation time of the key packet that the copy begins with, and all of its packets.

    Times are presentation seconds of the file; the key packet's is in ticks of the stream.
    """
    for margin_s in (*_MARGINS_S, None):
        if not _sought(container, 0.0 if margin_s is None else start_s - margin_s):
            continue
        packets = (packet for packet in container.demux(stream) if packet.size)
        key = next((packet for packet in packets if packet.is_keyframe), None)
        if key is not None and key.pts is not None and _seconds(key.pts, stream) <= start_s + _TOLERANCE_S:
            break
    else:
        raise _CannotCopyError("no key frame before it is found")
    group = [key]
    for packet in packets:
        begun = packet.pts is not None and _seconds(packet.pts, stream) > start_s + _TOLERANCE_S
        if packet.is_keyframe and not begun:
            group = []
        group.append(packet)
        if begun or packet.pts is None:
            break
    begin = group[0].pts or 0
    return begin, _until(chain(group, packets), stream, begin, end_s)


def _sought(container: InputContainer, moment_s: float) -> bool:
    try:
        container.seek(round(moment_s * av.time_base))
    except (av.FFmpegError, OSError):
        return False
    return True


def _until(
    packets: Iterable[Packet[VideoStream]], stream: VideoStream, begin: int, end_s: float
) -> Iterator[Packet[VideoStream]]:
    """The packets that are decoded until `end_s`, without those that belong before the first key frame."""
    for packet in _with_decoding_times(packets):
        if packet.pts is None or packet.dts is None:
            raise _CannotCopyError("its packets have no times")
        if _seconds(packet.dts, stream) > end_s + _TOLERANCE_S:
            return
        if packet.pts >= begin:
            yield packet


def _with_decoding_times(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """The same; the first after a seek, which in Matroska have none, get theirs from the first that has."""
    waiting: list[Packet[VideoStream]] = []
    for packet in packets:
        waiting.append(packet)
        if packet.dts is None and len(waiting) <= _MOST_REORDERED:
            continue
        for number, each in enumerate(reversed(waiting)):
            if each.dts is None and packet.dts is not None:
                each.dts = packet.dts - number * max(packet.duration or 1, 1)
        yield from waiting
        waiting.clear()
    yield from waiting


def _mux(
    out: OutputContainer, stream: VideoStream, begin: int, packets: Iterable[Packet[VideoStream]]
) -> None:
    """Write the packets; their times begin with 0 at `begin`."""
    target = out.add_stream_from_template(stream)
    for packet in packets:
        packet.stream = target
        packet.pts, packet.dts = (packet.pts or 0) - begin, (packet.dts or 0) - begin
        out.mux(packet)


def _checked(clip: Clip, target: Path, began_s: float, start_s: float) -> Cut:
    """The copy, read back: what no player can show, or shows at another time, is no evidence."""
    try:
        with open_clip(target) as copy:
            shown = [frame for frame, _ in zip(copy.frames(rate=1), range(_COMPARED), strict=False)]
            for _ in copy.frames(rate=1):
                pass
            report, size = copy.report(), (copy.width, copy.height)
    except FootageError as error:
        raise _CannotCopyError(f"a copy of its packets cannot be read ({error.reason})") from None
    if size != (clip.width, clip.height) or began_s + report.last_time_s < start_s:
        raise _CannotCopyError("a copy of its packets shows another stretch")
    for frame in shown:
        original = clip.frame_at(began_s + frame.time_s).picture.astype(np.int16)
        if np.abs(original - frame.picture).mean() > _ALIKE:
            raise _CannotCopyError("the times of its packets are not those of its pictures")
    sync_file(target)
    return Cut(target, began_s, began_s + report.last_time_s, True, clip.codec, report.frames_decoded)


def _stretch(clip: Clip, start_s: float, end_s: float, from_start: bool) -> Iterator[Frame]:
    for frame in clip.frames() if from_start else clip.frames(start_s=start_s):
        if frame.time_s > end_s + _TOLERANCE_S:
            return
        if frame.time_s >= start_s - _TOLERANCE_S:
            yield frame


def stretch(source: Path, start_s: float, end_s: float, *, from_start: bool = False) -> Iterator[Frame]:
    """The frames between two times, as `cut_clip` with `change` takes them.

    Raises:
        FootageError: the clip cannot be read.
    """
    with open_clip(source) as clip:
        yield from _stretch(clip, max(0.0, start_s), end_s, from_start)


def _encoded(
    clip: Clip, target: Path, frames: Iterator[Frame], change: Callable[[Frame], Picture] | None, reason: str
) -> Cut:
    first_s, last_s, count = 0.0, 0.0, 0
    with av.open(f"file:{target}", "w") as out:
        stream = out.add_stream("libx264", rate=max(1, round(clip.average_rate)))
        stream.width, stream.height = clip.width + clip.width % 2, clip.height + clip.height % 2
        stream.pix_fmt, stream.options = "yuv420p", dict(_ENCODER)
        stream.codec_context.time_base = Fraction(1, _TICKS)
        for frame in frames:
            first_s, last_s = (first_s if count else frame.time_s), frame.time_s
            picture = _even(change(frame) if change else frame.picture)
            video = av.VideoFrame.from_ndarray(picture, "bgr24")
            video.time_base, video.pts = Fraction(1, _TICKS), round((frame.time_s - first_s) * _TICKS)
            out.mux(stream.encode(video))
            count += 1
        if count:
            out.mux(stream.encode())
    if not count:
        target.unlink(missing_ok=True)
        raise FootageError("no_frames", f"{clip.path}: no frame can be decoded in this stretch")
    sync_file(target)
    return Cut(target, first_s, last_s, False, "h264", count, reason)


def _even(picture: Picture) -> Picture:
    """Its last column and row twice where the number is odd, which 4:2:0 cannot hold."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return np.ascontiguousarray(picture)


def _seconds(ticks: int | None, stream: VideoStream) -> float:
    return float((ticks or 0) * (stream.time_base or 0))
