"""Masks of bits say what booleans say."""

import numpy as np
import pytest

from indexer.rowmask import RowMask


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 1000])
def test_a_mask_is_its_booleans(rows: int) -> None:
    random = np.random.default_rng(rows)
    one, other = random.random(rows) < 0.3, random.random(rows) < 0.6
    mask = RowMask.of(one)
    assert (mask.rows, mask.count) == (rows, int(one.sum()))
    assert mask.bools().tolist() == one.tolist()
    assert mask.places() == np.flatnonzero(one).tolist()
    both = mask & RowMask.of(other)
    assert both.bools().tolist() == (one & other).tolist()
    assert both.count == int((one & other).sum())


def test_a_mask_has_a_bit_for_each_row() -> None:
    with pytest.raises(ValueError, match="expected 2 bytes for 9 rows"):
        RowMask(9, np.zeros(1, np.uint8))
