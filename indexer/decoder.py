"""Frames out of a file, in order: opening it, choosing its stream, decoding, and leaving undecoded what needs
not be looked at.

Knows packets and decoders, and what damage does to them; no time of the clip and no picture.
"""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from reid.errors import FootageError

# Only what recorders write: FFmpeg also "plays" text files, pictures and playlists that name other files.
_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,mjpeg,asf,flv,mxf,dhav,ogg,ivf,obu,wtv,rm,nut"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}


_LONGEST_GROUP_S = 2.5
"""From one key frame to the next, if nothing between them is decoded: somebody could pass meanwhile."""
_GROUPS = 8  # the latest, whose packets tell what is usual
_LEAST_GROUPS = 3  # fewer do not tell: somebody may have passed in one of them
_ROW = 3  # packets that together are larger than usual hold something that moves
_MORE_BYTES, _SPREADS = 40.0, 8.0  # by so many, and by so many times as much as they differ anyway
_MOST_BYTES = 120.0  # where they differ by more anyway, somebody is not seen in them

Packet: TypeAlias = "av.Packet[VideoStream]"


class Calm(Protocol):
    """Whoever watches, and tells when nothing happens."""

    def is_quiet(self) -> bool:
        """Nobody is being followed and nothing moved lately: what comes next might be left out."""
        ...

    def shows_nothing_new(self, decoded: av.VideoFrame) -> bool:
        """A later frame looks as the latest ones did."""
        ...


@dataclass(frozen=True)
class LeftOut:
    """A frame that was not decoded, for nothing happens before and after it.

    Attributes:
        presented_s: its presentation time, seconds.
    """

    presented_s: float | None


class Decoder:
    """One reading of a file from front to back, with what it met.

    Attributes:
        container, stream: what is read.
        ignored: further streams of moving pictures.
        decoded, corrupt, left_out: frames so far.
        packets_corrupt: damaged packets, and those that gave no frame.
        failure: why reading ended early; empty if it did not.
    """

    def __init__(self, path: Path) -> None:
        self.container = open_container(path)
        try:
            self.stream, self.ignored = video_stream(path, self.container)
        except FootageError:
            self.container.close()
            raise
        # With frame threads, how many damaged packets and last frames are lost depends on the cores.
        self.stream.thread_type = "SLICE"
        self.decoded = self.corrupt = self.packets_corrupt = self.left_out = 0
        self.failure = ""

    def frames(self, calm: Calm | None = None) -> Iterator[av.VideoFrame | LeftOut]:
        """All frames that can be decoded, in order of presentation; damage is counted, never raised.

        Args:
            calm: where nothing happens, only key frames are decoded: what lies between two of them is left
                out if the second one shows nothing new and no packet between is larger than others. Only
                of streams in which every group of pictures stands alone and in order, as cameras send them.
        """
        if calm is not None and self._stands_alone():
            return self._frames_that_matter(calm)
        return self.all_frames()

    def all_frames(self) -> Iterator[av.VideoFrame]:
        """The same without anything left out."""
        for packet in self._packets():
            yield from self._count(self._decode(packet))

    def _frames_that_matter(self, calm: Calm) -> Iterator[av.VideoFrame | LeftOut]:
        sizes = _Sizes()
        group: list[Packet] = []  # a key frame that was given out already, and what follows it
        is_worth_it = True
        for packet in self._packets():
            is_key = packet is not None and packet.is_keyframe
            if group and packet is not None and not is_key and _is_short(group[0], packet):
                group.append(packet)
                continue
            key = None
            if group:
                is_worth_it = packet is None or is_key  # else groups are too long
                key = self._alone(packet) if packet and _is_short(group[0], packet) else None
                if key and self._tells_nothing(group[1:], key, sizes, calm):
                    yield from self._leave_out(group[1:])
                else:
                    key = None
                    for each in group:
                        yield from self._count([f for f in self._decode(each) if f.pts != group[0].pts])
            elif packet and is_key and is_worth_it and not packet.is_corrupt and calm.is_quiet():
                yield from self._count(self._drained())
                key = self._alone(packet)
            if packet and key:
                yield from self._count([key])
                group = [packet]
            else:
                yield from self._count(self._decode(packet))
                group = []

    def _tells_nothing(
        self, between: Sequence[Packet], key: av.VideoFrame, sizes: _Sizes, calm: Calm
    ) -> bool:
        """Need the packets before the key frame `key` no decoding?"""
        if not calm.shows_nothing_new(key):
            return False
        is_even = sizes.are_even(between)
        sizes.learn(between)
        return is_even

    def _stands_alone(self) -> bool:
        context = self.stream.codec_context
        return not context.has_b_frames and not context.codec.intra_only

    def _packets(self) -> Iterator[Packet | None]:
        """What the file holds of the stream; None at its end, which drains the decoder."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except IndexError:  # PyAV meets a stream that began later; demuxing again goes on behind it
                self.ignored += 1
                packets = self.container.demux(self.stream)
                continue
            except (av.FFmpegError, OSError) as error:
                self.failure = error.strerror or str(error)
                packet = None
            yield packet
            if packet is None:
                return

    def _decode(self, packet: Packet | None) -> list[av.VideoFrame]:
        """The frames that `packet` completes; None drains the decoder."""
        damaged = packet is not None and packet.is_corrupt
        frames: list[av.VideoFrame] = []
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.EOFError:  # drained already
            pass
        except (av.FFmpegError, OSError):
            damaged = True
        self.packets_corrupt += damaged
        return frames

    def _count(self, frames: Sequence[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            self.decoded += 1
            self.corrupt += frame.is_corrupt
            yield frame

    def _leave_out(self, packets: Sequence[Packet]) -> Iterator[LeftOut]:
        for packet in packets:
            self.left_out += 1
            yield LeftOut(presented_s(packet))

    def _alone(self, packet: Packet) -> av.VideoFrame | None:
        """The key frame of this packet, decoded by itself; None if it is not whole. Forgets all before it."""
        damaged = self.packets_corrupt  # the packet is decoded again with those that follow
        self.stream.codec_context.flush_buffers()
        frames = [*self._decode(packet), *self._drained()]
        self.packets_corrupt = damaged
        is_whole = len(frames) == 1 and frames[0].pts == packet.pts and not frames[0].is_corrupt
        return frames[0] if is_whole else None

    def _drained(self) -> list[av.VideoFrame]:
        """What the decoder still held; it is ready for a key frame after that."""
        frames = self._decode(None)
        self.stream.codec_context.flush_buffers()
        return frames

    def seek(self, moment_s: float) -> bool:
        """Go to a key frame near a presentation time in seconds; whether the file allows it."""
        try:
            self.container.seek(round(moment_s * av.time_base))
        except (av.FFmpegError, OSError):
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        self.container.close()


class _Sizes:
    """How large the packets of a group are while nothing happens, bytes, each at its place in the group.

    Somebody who moves costs a hundred bytes and more in each of some packets in a row. Where noise does as
    well, groups look uneven, and are decoded: that is slower, but nobody is lost.
    """

    def __init__(self) -> None:
        self._usual: deque[NDArray[np.float64]] = deque(maxlen=_GROUPS)

    def are_even(self, packets: Sequence[Packet]) -> bool:
        """Are no packets in a row larger than usual?"""
        sizes = _sizes(packets)
        known = [each for each in self._usual if len(each) == len(sizes)]
        if len(sizes) < _ROW:
            return True
        if len(known) < _LEAST_GROUPS:
            return False
        usual = np.median(known, axis=0)
        spread = float(np.median(np.abs([_rows(each - usual) for each in known])))
        most = max(_MORE_BYTES, _SPREADS * spread)
        return most <= _MOST_BYTES and bool(_rows(sizes - usual).max() <= most)

    def learn(self, packets: Sequence[Packet]) -> None:
        """Take packets between two key frames that show the same."""
        self._usual.append(_sizes(packets))


def _rows(more: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of so many packets in a row."""
    return np.convolve(more, np.full(_ROW, 1 / _ROW), "valid")


def _sizes(packets: Sequence[Packet]) -> NDArray[np.float64]:
    return np.array([packet.size for packet in packets], np.float64)


def presented_s(given: av.VideoFrame | Packet) -> float | None:
    """The presentation time of a frame or packet in its file, seconds; None if it has none."""
    if given.pts is None or given.time_base is None:
        return None
    return given.pts * given.time_base.numerator / given.time_base.denominator  # Fractions are slow


def _is_short(first: Packet, last: Packet) -> bool:
    """Are both whole, and is so little time between them that nobody passes meanwhile?"""
    first_s, last_s = (None if packet.is_corrupt else presented_s(packet) for packet in (first, last))
    return first_s is not None and last_s is not None and 0 < last_s - first_s <= _LONGEST_GROUP_S


def open_container(path: Path) -> InputContainer:
    """The file open for demuxing, after a look at what kind of file it is.

    Raises:
        FootageError: as `open_clip`.
    """
    beginning = _read_beginning(path)
    try:
        # Recorders write names in old encodings into the metadata.
        return av.open(f"file:{path}", options=dict(_OPTIONS), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError):
        if beginning[4:8] == b"ftyp":
            raise FootageError(
                "no_frames",
                f"{path}: an MP4 without readable index, as a recorder leaves it when it is cut off before"
                " the end; export it again",
            ) from None
        raise FootageError(
            "not_video", f"{path}: expected a video, got another kind of file or one damaged at the beginning"
        ) from None


def _read_beginning(path: Path) -> bytes:
    """The first bytes; refuses what is no readable file before FFmpeg sees it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "a device or pipe"
            raise FootageError("not_video", f"{path}: expected a video file, got {kind}")
        with path.open("rb") as file:
            beginning = file.read(16)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise FootageError("missing", f"{path}: no such file; check the path") from None
    except PermissionError:
        raise FootageError("no_permission", f"{path}: no permission to read; check who owns it") from None
    except OSError as error:
        raise FootageError(
            "unreadable", f"{path}: cannot be read ({error.strerror}); check disk and path"
        ) from None
    if not beginning:
        raise FootageError("empty", f"{path}: the file is empty (0 bytes); copy it again")
    return beginning


def video_stream(path: Path, container: InputContainer) -> tuple[VideoStream, int]:
    """The largest stream of moving pictures, and how many others there are.

    Raises:
        FootageError: "not_video" or "no_frames", there is none that can be decoded.
    """
    moving = [
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    ]
    if not moving:
        raise FootageError("not_video", f"{path}: expected moving pictures, got a file without (sound only?)")
    # PyAV gives a stream of a codec that FFmpeg does not know no codec context.
    streams = [stream for stream in moving if stream.codec_context is not None]
    if not streams:
        raise FootageError(
            "no_frames", f"{path}: the codec is unknown or its name damaged; export it as H.264"
        )
    return max(streams, key=lambda stream: stream.width * stream.height), len(moving) - 1
