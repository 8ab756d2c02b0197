"""The codebook of an archive: trained on a sample of its rows, kept beside it, asked whether it still fits.

A codebook never changes; a new one gets another name, and `reid compact` codes the segments again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import Catalogue, writer_lock
from indexer.codes import Codebook, Fit
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.shard.writer import Coding
from indexer.snapshot import Snapshot
from reid.camera_means import CameraMeans, centred
from reid.durable import make_folder, write_file
from reid.errors import DamagedError, InputError, StorageError, storage_errors

SAMPLE = 120_000
"""Rows to train on; more no longer changed the recall."""

Progress = Callable[[int, int], None]


def load_codebook(archive: ArchiveFiles, name: str) -> Codebook:
    """The codebook of this name.

    Raises:
        StorageError: not there, or not readable.
        DamagedError, FormatError: not what was kept under the name.
    """
    path = archive.codebook(name)
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise StorageError(
                f"{path}: the codebook is missing; train another with: reid codebook train"
            ) from None
    codebook = Codebook.from_bytes(data, str(path))
    if codebook.name != name:
        raise DamagedError(f"{path}: altered; train another with: reid codebook train")
    return codebook


def coding(codebook: Codebook, district: str, means: CameraMeans) -> Coding:
    """Codes of a district's rows: of what is left of them without their cameras' means."""

    def encode(rows: NDArray[np.float16], cameras: Sequence[str]) -> bytes:
        names, which = np.unique(np.array(cameras), return_inverse=True)
        taken = means.of([(district, str(name)) for name in names])[which]
        return codebook.encode(centred(rows.astype(np.float32), taken))

    return Coding(codebook.name, encode)


def train_codebook(
    archive: ArchiveFiles, rows: int = SAMPLE, seed: int = 0, progress: Progress = lambda done, of: None
) -> tuple[Codebook, int]:
    """Train a codebook on a sample of the archive and put it into use; it and the rows it was trained on.

    Raises:
        InputError: the archive holds too few rows.
        StorageError: another writer, or the disk refused.
    """
    with Catalogue(archive, "write") as catalogue, writer_lock(archive):
        snapshot = catalogue.snapshot()
        sample = sample_rows(archive, snapshot, rows, seed, progress)
        if snapshot.embedder is None:
            raise InputError(f"{archive.home}: the archive is empty; index footage first")
        codebook = Codebook.train(sample, snapshot.embedder, seed)
        make_folder(archive.codebook(codebook.name).parent)
        write_file(archive.codebook(codebook.name), codebook.to_bytes())
        catalogue.use_codebook(codebook.name)
    return codebook, len(sample)


def check_codebook(archive: ArchiveFiles, rows: int = 20_000, seed: int = 1) -> tuple[Codebook, Fit]:
    """Does the codebook in use still fit what is in the archive?

    Raises:
        InputError: no codebook is in use, or the archive is empty.
    """
    with Catalogue(archive) as catalogue:
        snapshot = catalogue.snapshot()
    if snapshot.codebook is None:
        raise InputError(f"{archive.home}: no codebook yet; train one with: reid codebook train")
    codebook = load_codebook(archive, snapshot.codebook)
    return codebook, codebook.fit(sample_rows(archive, snapshot, rows, seed))


def sample_rows(
    archive: ArchiveFiles, snapshot: Snapshot, count: int, seed: int,
    progress: Progress = lambda done, of: None,
) -> NDArray[np.float32]:  # fmt: skip
    """(n, D) float32 unit rows without their cameras' means, drawn evenly from all sound segments.

    Raises:
        DamagedError: a segment cannot be read; `reid verify` takes it out.
        InputError: nothing is indexed.
    """
    entries = [entry for entry in snapshot.segments if entry.quarantined is None]
    total = sum(entry.vectors for entry in entries)
    if not total:
        raise InputError(f"{archive.home}: no vectors in the archive; index footage first")
    chosen = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
    chosen.sort()
    found, first, means = [], 0, None
    for number, entry in enumerate(entries):
        progress(number, len(entries))
        rows = chosen[(chosen >= first) & (chosen < first + entry.vectors)] - first
        first += entry.vectors
        if len(rows):
            segment = open_entry(archive, entry)
            means = means or snapshot.camera_means(segment.manifest.dimension)
            halves, heads = segment.rows(rows.tolist())
            of_cameras = means.of([(entry.district, camera) for camera in segment.manifest.cameras])
            found.append(centred(halves.astype(np.float32), of_cameras[heads["camera"]]))
    return np.concatenate(found)
