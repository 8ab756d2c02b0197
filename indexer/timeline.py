"""Repairing a clip's timestamps: from presentation times to times that always grow.

Pure arithmetic on seconds. Knows no container and no decoder.
"""

from __future__ import annotations

MAX_JUMP_S = 3600.0
_MAX_DISORDER_S = 1.0


class Timeline:
    """Turns presentation times into times since the first frame that always grow.

    A time that is absent or slightly out of order is set one frame after the one before. A step back of
    more than a second, or forward of more than an hour, starts a new line there (a recorder's clock was
    set, or files were joined), which is left as soon as the first line fits again.

    Attributes:
        repaired: frames whose presentation time could not be used as it was.
        last_raw_s: the newest presentation time there was, seconds since `zero_s`, unrepaired.
    """

    def __init__(self, zero_s: float, step_s: float) -> None:
        """`zero_s` is the presentation time of the first frame, `step_s` the usual time between frames."""
        self._zero_s, self._step_s = zero_s, step_s
        self._previous: float | None = None
        self._shift_s = 0.0
        self._repaired_in_a_row = 0
        self.repaired = 0
        self.last_raw_s: float | None = None

    def place(self, raw_s: float | None) -> float:
        """Seconds since the clip's first frame for a presentation time in seconds."""
        if raw_s is not None:
            raw_s = self.last_raw_s = raw_s - self._zero_s
        time_s = self._fitting(raw_s)
        if time_s is None:
            time_s = self._after_previous(raw_s)
            self.repaired += 1
            self._repaired_in_a_row += 1
        else:
            self._repaired_in_a_row = 0
        self._previous = time_s
        return time_s

    def _fitting(self, raw_s: float | None) -> float | None:
        if raw_s is None:
            return None
        if self._previous is None:
            return max(raw_s, 0.0)
        if 0 < raw_s - self._previous <= MAX_JUMP_S:
            self._shift_s = 0.0
            return raw_s
        shifted = raw_s + self._shift_s
        return shifted if 0 < shifted - self._previous <= MAX_JUMP_S else None

    def _after_previous(self, raw_s: float | None) -> float:
        if self._previous is None:
            return 0.0
        # Half a frame for a lone duplicate, so that its successor is in time again.
        time_s = self._previous + self._step_s * (1.0 if self._repaired_in_a_row else 0.5)
        if raw_s is None:
            return self._previous + self._step_s
        if not -_MAX_DISORDER_S <= raw_s + self._shift_s - self._previous <= MAX_JUMP_S:
            time_s = self._previous + self._step_s
            self._shift_s = time_s - raw_s
        return time_s
