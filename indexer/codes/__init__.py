"""Codes of vectors: 4 bits for each four numbers, scanned by the million. Nobody else imports faiss.

`codebook` owns the product quantizer of a model generation and what an `index.faiss` holds, `pool` the
codes in memory that searches scan, `products` the inner products of stored rows. Bytes in, bytes out: knows
no path, no catalogue and no camera; vectors come with their camera's mean already taken out.
"""

import os

# Threads that wait for each other in a busy loop take the cores from other searches and from indexing: beside
# other work, searches took three times as long for it. Read when faiss is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from indexer.codes.codebook import Codebook, Fit
from indexer.codes.pool import CodePool, Slot
from indexer.codes.products import inner_products

__all__ = ["CodePool", "Codebook", "Fit", "Slot", "inner_products"]
