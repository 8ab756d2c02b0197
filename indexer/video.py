"""Clips: decoding frames with exact times, and finding out when a clip began.

Read with PyAV (`indexer.decoder`); `indexer.cutting` writes with it. Chosen over OpenCV's VideoCapture,
which is as fast but ends a clip at its first damaged packet, gives no times where timestamps are absent, and
writes to the terminal (`python -m benchmarks decoding`). Knows no camera, no district and no disk layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from indexer.decoder import Decoder, LeftOut, presented_s
from indexer.frame import Frame, grey_of, to_picture, upright_size
from indexer.timeline import MAX_JUMP_S, Timeline
from indexer.times import moment_in_metadata, moment_in_name
from reid.errors import FootageError, InputError
from reid.images import Grey

_TOLERANCE_S = 0.001
"""Matroska and FLV round timestamps to milliseconds: a frame this early still counts as on time."""
_FALLBACK_RATE = 25.0
_MAX_DURATION_S = 30 * 86_400.0
_SEEK_MARGINS_S = (0.0, 10.0, 60.0)


@dataclass(frozen=True)
class ReadReport:
    """What one pass over a clip met.

    Attributes:
        frames_decoded: frames the decoder gave, sampled or not.
        frames_left_out: frames that needed no decoding, for nothing happened around them.
        frames_corrupt: of these, frames the decoder marked as damaged.
        packets_corrupt: packets that were damaged or gave no frame.
        times_repaired: frames whose timestamp was absent, went backwards or jumped by more than an hour.
        last_time_s: time of the last frame; 0 when there was none.
        truncated: the file ends before the end that its header promises, or reading it failed there.
        warnings: the same in sentences, for people.
    """

    frames_decoded: int = 0
    frames_left_out: int = 0
    frames_corrupt: int = 0
    packets_corrupt: int = 0
    times_repaired: int = 0
    last_time_s: float = 0.0
    truncated: bool = False
    warnings: tuple[str, ...] = ()


class Watcher(Protocol):
    """Whoever looks at a clip's frames, and may tell that some need no look."""

    def is_quiet(self) -> bool:
        """Nobody is followed and nothing moved lately in the frames seen so far."""
        ...

    def shows_nothing_new(self, grey: Grey) -> bool:
        """A later frame, (H, W) uint8 brightness, looks as the latest ones did."""
        ...


class _Moment(NamedTuple):
    number: int
    time_s: float
    decoded: av.VideoFrame


class _Reading:
    """One reading of a clip, with when its frames are.

    Attributes:
        decoder, timeline: what it reads with.
        resized: frames of another size so far.
        last_s: time of the last frame, seconds of the clip.
    """

    def __init__(self, path: Path, timeline: Timeline) -> None:
        self.decoder, self.timeline = Decoder(path), timeline
        self.resized, self.last_s = 0, 0.0

    def moments(self, sought_rate: float = 0.0, watcher: Watcher | None = None) -> Iterator[_Moment]:
        """The frames with their times; after a seek numbered by the clip's average rate."""
        skipped = 0
        for count, each in enumerate(self.decoder.frames(_Calm(watcher) if watcher else None)):
            raw_s = each.presented_s if isinstance(each, LeftOut) else presented_s(each)
            self.last_s = self.timeline.place(raw_s)
            if count == 0:
                skipped = round(self.last_s * sought_rate)
            if not isinstance(each, LeftOut):
                yield _Moment(skipped + count, self.last_s, each)


class _Calm:
    """What a watcher of pictures tells a decoder."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def is_quiet(self) -> bool:
        return self._watcher.is_quiet()

    def shows_nothing_new(self, decoded: av.VideoFrame) -> bool:
        return self._watcher.shows_nothing_new(grey_of(decoded))


class Clip:
    """One readable clip. Made by `open_clip`; use it in a `with` block, which closes the file.

    Attributes:
        path: the file.
        width, height: pixels, upright.
        average_rate: frames a second, on average.
        duration_s: seconds from first to last frame as the file says; None if it does not.
        container_start: start in the container's metadata, aware UTC; None if absent or implausible.
        codec: FFmpeg's name of the codec.
        zero_s: presentation time of its beginning in the file, which all times of frames are counted from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: set[_Reading] = set()
        self._report = ReadReport()
        decoder = Decoder(path)
        try:
            stream = decoder.stream
            first = next(decoder.all_frames(), None)
            if first is None:
                raise FootageError(
                    "no_frames",
                    f"{path}: no frame can be decoded (codec {stream.codec_context.name}); the recording is"
                    " damaged or incomplete, export it again",
                )
            self.codec = stream.codec_context.name
            self.height, self.width = to_picture(first).shape[:2]
            self._step_s, self.average_rate = _rates(path, stream, first)
            self._seekable = first.pts is not None
            self.zero_s = _zero(stream, first)
            self.duration_s = _duration(decoder.container, stream, self.zero_s)
            self.container_start = _container_start(decoder.container, stream)
        finally:
            decoder.close()

    def __enter__(self) -> Clip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in list(self._open):
            self._close(running)

    def frames(
        self, rate: float | None = None, start_s: float = 0.0, watcher: Watcher | None = None
    ) -> Iterator[Frame]:
        """The clip's frames in order of time, each call reading anew. Damage is survived: see `report`.

        Args:
            rate: at most so many frames a second: of each interval of 1/rate seconds, counted from the
                clip's beginning, the first frame. None: every frame. Other frames are decoded (later
                ones need them) but not converted.
            start_s: begin at this time; sampling begins with the first whole interval after it.
            watcher: while it sees nothing happen, of each group of pictures that begins and ends alike only
                the first one is decoded; see `Decoder.frames`.

        Raises:
            InputError: a rate that is not positive, a start that is not a number.
            FootageError: the file can no longer be opened.
        """
        if rate is not None and not 0 < rate < math.inf:
            raise InputError(f"expected a rate of frames a second above 0, got {rate}")
        _check_time(start_s)
        return self._read(rate, start_s, watcher)

    def frame_at(self, time_s: float, *, from_start: bool = False) -> Frame:
        """The frame shown at `time_s`: the last one not later, or the first of the clip.

        Args:
            time_s: seconds since the clip's first frame, as in `Frame.time_s`.
            from_start: read from the beginning instead of seeking. Slow, but right also for clips whose
                times were repaired (`ReadReport.times_repaired`), where seeking meets the wrong place.

        Raises:
            InputError: the time is not a number.
            FootageError: the file can no longer be opened, or gives no frame.
        """
        _check_time(time_s)
        running, moments = self._begin(0.0 if from_start else time_s)
        try:
            found: _Moment | None = None
            for moment in moments:
                if found is not None and moment.time_s > time_s + _TOLERANCE_S:
                    break
                found = moment
            if found is None:
                raise FootageError("no_frames", f"{self.path}: no frame can be decoded any more")
            return self._frame(running, found)
        finally:
            self._close(running)

    def report(self) -> ReadReport:
        """What the newest pass of `frames` met; complete once that iterator is exhausted or closed."""
        return self._report

    def _read(self, rate: float | None, start_s: float, watcher: Watcher | None) -> Iterator[Frame]:
        running, moments = self._begin(start_s, watcher)
        due = start_s if rate is None else math.ceil((start_s - _TOLERANCE_S) * rate) / rate
        ended = False
        try:
            for moment in moments:
                if moment.time_s < due - _TOLERANCE_S:
                    continue
                if rate is not None:
                    due = (math.floor((moment.time_s + _TOLERANCE_S) * rate) + 1) / rate
                yield self._frame(running, moment)
            ended = True
        finally:
            self._report = self._sum_up(running, ended)
            self._close(running)

    def _begin(self, start_s: float, watcher: Watcher | None = None) -> tuple[_Reading, Iterator[_Moment]]:
        """A new reading and its moments, from a key frame not after `start_s` where seeking finds one."""
        for margin_s in _SEEK_MARGINS_S if self._seekable else ():
            if start_s <= margin_s:
                break
            running = self._new_reading()
            if running.decoder.seek(self.zero_s + start_s - margin_s):
                moments = running.moments(self.average_rate, watcher)
                first = next(moments, None)
                if first is not None and first.time_s <= start_s + _TOLERANCE_S:
                    return running, chain([first], moments)
            self._close(running)
        running = self._new_reading()
        return running, running.moments(watcher=watcher)

    def _frame(self, running: _Reading, moment: _Moment) -> Frame:
        if upright_size(moment.decoded) != (self.width, self.height):
            running.resized += 1
        return Frame(moment.number, moment.time_s, self.width, self.height, moment.decoded)

    def _new_reading(self) -> _Reading:
        running = _Reading(self.path, Timeline(self.zero_s, self._step_s))
        self._open.add(running)
        return running

    def _close(self, running: _Reading) -> None:
        self._open.discard(running)
        running.decoder.close()

    def _sum_up(self, running: _Reading, ended: bool) -> ReadReport:
        missing_s = 0.0
        if ended and self.duration_s is not None and running.timeline.last_raw_s is not None:
            missing_s = self.duration_s - running.timeline.last_raw_s - self._step_s
        slack_s = max(1.0, 2.5 / self.average_rate)
        decoder = running.decoder
        truncated = bool(decoder.failure) or missing_s > slack_s
        counted = (
            (decoder.packets_corrupt, "damaged packet(s)"),
            (decoder.corrupt, "damaged frame(s)"),
            (running.timeline.repaired, "timestamp(s) absent or out of order, repaired from the frame rate"),
            (running.resized, f"frame(s) of another size, scaled to {self.width} x {self.height}"),
            (decoder.ignored, "further video stream(s), not read; export each channel to its own file"),
        )
        warnings = [f"{count} {what}" for count, what in counted if count]
        if truncated:
            promised = f" of {self.duration_s:.1f} s" if missing_s > slack_s else ""
            because = f" ({decoder.failure})" if decoder.failure else ""
            warnings.append(f"the recording ends after {running.last_s:.1f} s{promised}{because}")
        return ReadReport(
            decoder.decoded, decoder.left_out, decoder.corrupt, decoder.packets_corrupt,
            running.timeline.repaired, running.last_s, truncated, tuple(warnings),
        )  # fmt: skip


def open_clip(path: Path) -> Clip:
    """Open a clip and decode its first frame.

    Raises:
        FootageError: with reason "missing", "no_permission", "unreadable" (the disk failed), "empty",
            "not_video" (a folder, another kind of file, sound only), "no_frames" (damaged or cut off so
            that nothing can be decoded) or "broken_timestamps" (no timestamps and no frame rate).
    """
    return Clip(path)


def clip_start(
    path: Path, container_start: datetime | None
) -> tuple[datetime, Literal["name", "container"]] | None:
    """When the clip began on its camera's clock, aware UTC, and where that is known from.

    The file's name wins over the container: recorders name files by their beginning, while the
    container's creation time is often the time of the export.
    """
    named = moment_in_name(path.name)
    if named is not None:
        return named, "name"
    return None if container_start is None else (container_start, "container")


def _rates(path: Path, stream: VideoStream, first: av.VideoFrame) -> tuple[float, float]:
    """Seconds a frame, and frames a second on average."""
    rates = [float(rate) for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate) if rate]
    plausible = [rate for rate in rates if 0.01 <= rate <= 1000]
    if not plausible and first.pts is None:
        raise FootageError("broken_timestamps", f"{path}: no timestamps and no frame rate; export it again")
    usual = plausible[0] if plausible else _FALLBACK_RATE
    average = float(stream.average_rate or 0)
    # Without timestamps the average is a guess of FFmpeg's, the usual rate comes from the codec.
    return 1 / usual, average if 0.01 <= average <= 1000 and first.pts is not None else usual


def _zero(stream: VideoStream, first: av.VideoFrame) -> float:
    """Presentation time of the clip's beginning: earlier than `first` if frames before it are damaged."""
    first_s = presented_s(first) or 0.0
    if stream.start_time is None or stream.time_base is None:
        return first_s
    start_s = float(stream.start_time * stream.time_base)
    return start_s if 0 <= first_s - start_s <= MAX_JUMP_S else first_s


def _duration(container: InputContainer, stream: VideoStream, zero_s: float) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration_s = container.duration / av.time_base
        if container.format.name.startswith("matroska"):  # counts from 0, not from the first frame
            duration_s -= min(zero_s, duration_s)
    else:
        return None
    return duration_s if 0 < duration_s <= _MAX_DURATION_S else None


def _container_start(container: InputContainer, stream: VideoStream) -> datetime | None:
    for key in ("com.apple.quicktime.creationdate", "creation_time", "date"):
        for metadata in (container.metadata, stream.metadata):
            moment = moment_in_metadata(metadata.get(key, ""))
            if moment is not None:
                return moment
    return None


def _check_time(time_s: float) -> None:
    if not math.isfinite(time_s):
        raise InputError(f"expected a time in seconds, got {time_s}")
