"""Which rows of a segment count, a bit each.

A filter over ten million rows touches hundreds of segments: bits are an eighth of what booleans are, the
colours of all rows are kept so and only have to be joined, and scans of codes take them as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]


class RowMask:
    """Some of N rows.

    Attributes:
        rows: N.
        bits: (ceil(N / 8),) uint8, row 0 the lowest bit of the first; those after the last row are 0.
        count: how many rows count.
    """

    def __init__(self, rows: int, bits: Bits) -> None:
        if bits.shape != (-(-rows // 8),):
            raise ValueError(f"expected {-(-rows // 8)} bytes for {rows} rows, got {bits.shape}")
        self.rows = rows
        self.bits = bits
        self.count = int.from_bytes(bits.tobytes(), "little").bit_count()

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> RowMask:
        """The rows at which `mask` (N,) is true."""
        return cls(len(mask), np.packbits(mask, bitorder="little"))

    def bools(self) -> NDArray[np.bool_]:
        """(N,) whether each row counts."""
        return np.unpackbits(self.bits, count=self.rows, bitorder="little").view(np.bool_)

    def places(self) -> list[int]:
        """The rows that count, ascending."""
        return np.flatnonzero(self.bools()).tolist()

    def __and__(self, other: RowMask) -> RowMask:
        return RowMask(self.rows, self.bits & other.bits)
