"""Inner products of rows as they are stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

faiss: Any = _faiss  # its own types leave out half of what is used here
F32 = NDArray[np.float32]

_SCAN_ROWS = 32_768
"""Inner products for which another thread pays."""
_CACHED = 2048
"""Rows compared with one vector after the other while they are in the cache: 1 MB at 256 dimensions."""


def inner_products(rows: NDArray[np.float16], vectors: F32, threads: int = 1) -> F32:
    """Inner products of rows as they are stored, in float32, without a float32 copy of them.

    Args:
        rows: (N, D) float16, contiguous; may be mapped from disk.
        vectors: (Q, D) float32.
        threads: most threads to use.

    Returns:
        (N, Q) float32, a column contiguous in memory; NaN where a product is not above minus infinity.
    """
    if rows.dtype != np.float16 or not rows.flags.c_contiguous or rows.shape[1:] != vectors.shape[1:]:
        raise ValueError(
            f"expected contiguous (N, D) float16 rows and (Q, D) vectors, got {rows.dtype} {rows.shape}"
            f" and {vectors.shape}"
        )
    vectors = np.ascontiguousarray(vectors, np.float32)
    products = np.full((len(vectors), len(rows)), np.nan, np.float32)
    parts = min(threads, len(rows) * len(vectors) // _SCAN_ROWS)
    if parts < 2:
        _scan(rows, vectors, products)
        return products.T
    cuts = np.linspace(0, len(rows), parts + 1).astype(int).tolist()
    spans = [slice(start, stop) for start, stop in pairwise(cuts) if stop > start]
    with ThreadPoolExecutor(len(spans)) as pool:
        list(pool.map(lambda span: _scan(rows[span], vectors, products[:, span]), spans))
    return products.T


def _scan(rows: NDArray[np.float16], vectors: F32, products: F32) -> None:
    """Write the inner products of rows (N, D) and vectors (Q, D) into (Q, N)."""
    scanner = _half_index(rows.shape[1]).get_InvertedListScanner(True, None, None)
    for start in range(0, len(rows), _CACHED):
        part = rows[start : start + _CACHED]
        for vector, out in zip(vectors, products[:, start : start + _CACHED], strict=True):
            found = faiss.RangeSearchResult(1)
            partial = faiss.RangeSearchPartialResult(found)
            scanner.set_query(faiss.swig_ptr(vector))
            scanner.set_list(0, 0.0)
            scanner.scan_codes_range(
                len(part), faiss.swig_ptr(part.view(np.uint8)), None, -np.inf, partial.new_result(0)
            )
            partial.set_lims()
            partial.finalize()
            count = int(faiss.rev_swig_ptr(found.lims, 2)[1])
            out[faiss.rev_swig_ptr(found.labels, count)] = faiss.rev_swig_ptr(found.distances, count)


@cache
def _half_index(size: int) -> Any:
    """Whatever makes scanners of float16 rows of D numbers; holds no rows and is never changed."""
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(size), size, 1, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.is_trained = True
    return index
