"""Codes: found again by every path, right by a brute-force oracle, and never a crash on foreign bytes."""

import gc
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.codes import Codebook, CodePool, Slot, inner_products
from indexer.codes import pool as codes
from indexer.rowmask import RowMask
from reid.errors import DamagedError, FormatError, InputError, ReidError, StorageError

F32 = NDArray[np.float32]
SIZE = 32


def people(count: int, seed: int, size: int = SIZE) -> F32:
    """Unit rows that lie near few directions, as embeddings do."""
    spread = np.linspace(1, 0.1, size)[np.random.default_rng(1).permutation(size)]
    rows = np.random.default_rng(seed).normal(size=(count, size)) * spread
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def book() -> Codebook:
    return Codebook.train(people(4000, 2), "f" * 64)


@pytest.fixture(scope="module")
def other() -> Codebook:
    return Codebook.train(people(4000, 3), "f" * 64, seed=1)


def filled(book: Codebook, sizes: list[int], budget: int = 10**8) -> tuple[CodePool, list[Slot], list[F32]]:
    pool = CodePool(book, budget)
    rows = [people(size, 10 + number) for number, size in enumerate(sizes)]
    slots = [pool.load(book.encode(each), len(each), "x") for each in rows]
    return pool, slots, rows


def test_a_codebook_round_trips_and_is_named_by_its_content(book: Codebook, other: Codebook) -> None:
    again = Codebook.from_bytes(book.to_bytes(), "x")
    assert again.to_bytes() == book.to_bytes()
    assert again.name == book.name != other.name
    assert len(book.name) == 16
    assert again.encode(people(40, 5)) == book.encode(people(40, 5))
    assert Codebook.train(people(4000, 2), "f" * 64).name == book.name


def test_too_few_rows_or_broken_numbers_are_told() -> None:
    with pytest.raises(InputError, match="at least 1500 vectors, there are 1499"):
        Codebook.train(people(1499, 1), "m")
    bad = people(1500, 1)
    bad[7, 3] = np.nan
    with pytest.raises(InputError, match="finite"):
        Codebook.train(bad, "m")


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 500])
def test_an_index_is_a_file_of_faiss(book: Codebook, rows: int) -> None:
    vectors = people(rows, 6)
    data = book.encode(vectors)
    index = faiss.deserialize_index(np.frombuffer(data, np.uint8))
    assert faiss.serialize_index(index).tobytes() == data
    _, found = index.search(book.rotated(vectors), 1)
    assert (found[:, 0] == np.arange(rows)).mean() > 0.9


@pytest.mark.parametrize("threads", [1, 2])
def test_each_row_finds_itself(book: Codebook, threads: int) -> None:
    pool, slots, rows = filled(book, [40, 1, 700, codes._PAGE + 5])
    for position, each in enumerate(rows):
        where, found, scores = pool.search([(slot, None) for slot in slots], each[-30:], 10, threads)
        own = (where == position) & (found == np.arange(len(each))[-30:, None])
        assert own.any(axis=1).all()
        assert (np.diff(scores, axis=1) <= 0).all()


def test_codes_and_refinement_find_what_is_exact(book: Codebook) -> None:
    pool, slots, rows = filled(book, [3000, 2000])
    queries = people(50, 99)
    where, found, _ = pool.search([(slot, None) for slot in slots], queries, 200)
    every = np.take(np.array([0, 3000]), where) + found
    exact = np.argsort(-queries @ np.concatenate(rows).T, axis=1)[:, :10]
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, every, strict=True)])
    assert recall > 0.95
    assert abs(recall - book.expected_recall(5000, 200)) < 0.02


def test_masks_scope_and_missing_rows(book: Codebook) -> None:
    pool, slots, rows = filled(book, [900, codes._PAGE + 100, 50])
    chosen = np.zeros(codes._PAGE + 100, bool)
    chosen[codes._PAGE + 7 :: 40] = True
    wanted, nothing = RowMask.of(chosen), RowMask.of(np.zeros(50, bool))
    where, found, scores = pool.search([(slots[1], wanted), (slots[2], nothing)], rows[1][:3], 8)
    assert (where[:, :3] == 0).all()
    assert sorted(found[0, :3].tolist()) == wanted.places()
    assert (where[:, 3:] == -1).all()
    assert (found[:, 3:] == -1).all()
    assert np.isneginf(scores[:, 3:]).all()
    # One slot masked, the other whole; count larger than all rows.
    few = RowMask.of(np.arange(900) < 2)
    where, found, _ = pool.search([(slots[2], None), (slots[0], few)], rows[0][:2], 100, 2)
    assert (where >= 0).sum(axis=1).tolist() == [52, 52]
    assert set(found[where == 1].tolist()) == {0, 1}
    for scope in ([], [(slots[2], nothing)]):
        where, found, scores = pool.search(scope, rows[0][:2], 4)
        assert (where == -1).all()
        assert (found == -1).all()
        assert where.shape == found.shape == scores.shape == (2, 4)
    assert pool.search([(slots[0], None)], rows[0][:0], 4)[0].shape == (0, 4)
    with pytest.raises(ValueError, match="at most once"):
        pool.search([(slots[0], None), (slots[0], None)], rows[0][:1], 4)
    with pytest.raises(ValueError, match="mask of 50 rows"):
        pool.search([(slots[2], few)], rows[0][:1], 4)
    with pytest.raises(ValueError, match="vectors"):
        pool.search([(slots[0], None)], people(1, 1, 64), 4)


def test_a_slot_gives_its_memory_back_and_lists_are_used_again(book: Codebook) -> None:
    pool = CodePool(book, 200_000)
    data = {size: book.encode(people(size, size)) for size in (3000, 2000, 500)}
    assert pool.bytes_used == 0
    for _ in range(300):
        slots = [pool.load(data[size], size, "x") for size in (3000, 2000, 500)]
        assert pool.bytes_used == sum(map(pool.bytes_for, (3000, 2000, 500)))
        del slots
    gc.collect()
    assert pool.bytes_used == 0
    assert pool._fresh == 3
    # What came before leaves no trace.
    slot = pool.load(data[500], 500, "x")
    where, found, _ = pool.search([(slot, None)], people(3000, 3000)[-5:], 3000)
    assert (where >= 0).sum(axis=1).tolist() == [500] * 5
    assert found.max() == 499


def test_a_full_pool_says_so_and_takes_more_when_emptied(book: Codebook) -> None:
    pool = CodePool(book, 12_000)
    data = book.encode(people(600, 1))
    slot: Slot | None = pool.load(data, 600, "x")
    with pytest.raises(StorageError, match="seg-7: its codes take"):
        pool.load(data, 600, "seg-7")
    slot = None
    assert slot is None
    assert pool.load(data, 600, "x").rows == 600


def test_many_slots(book: Codebook) -> None:
    pool, slots, rows = filled(book, [20] * 1500)
    where, found, _ = pool.search(
        [(slot, None) for slot in slots], np.stack([r[3] for r in rows[::100]]), 40, 2
    )
    for query in range(15):
        assert (100 * query, 3) in zip(where[query].tolist(), found[query].tolist(), strict=True)


def test_foreign_and_damaged_indexes_are_refused(book: Codebook, other: Codebook) -> None:
    pool = CodePool(book, 10**7)
    vectors = people(100, 4)
    data = book.encode(vectors)
    for wrong in (b"", b"IPfs", other.encode(vectors), data + b"x", book.encode(vectors[:99])):
        with pytest.raises(DamagedError, match="seg-7"):
            pool.load(wrong, 100, "seg-7")
    for rows in (0, 99, 101, 10**9):
        with pytest.raises(DamagedError):
            pool.load(data, rows, "x")
    for cut in range(0, len(data), 37):
        with pytest.raises(DamagedError):
            pool.load(data[:cut], 100, "x")
    header = len(data) - 128 * book.code_size
    for place in range(0, header, 5):
        altered = bytearray(data)
        altered[place] ^= 1 << (place % 8)
        with pytest.raises(DamagedError):
            pool.load(bytes(altered), 100, "x")
    # Codes cannot show that they are altered: the segment's checksums do. They may not crash, though.
    noise = np.random.default_rng(0).integers(256, size=len(data) - header, dtype=np.uint8).tobytes()
    slot = pool.load(data[:header] + noise, 100, "x")
    assert (pool.search([(slot, None)], vectors[:2], 200, 2)[0] >= 0).sum() == 200
    del slot
    assert pool.bytes_used == 0


def test_damaged_codebooks_are_refused(book: Codebook) -> None:
    data = book.to_bytes()
    for cut in range(0, len(data), max(1, len(data) // 150)):
        with pytest.raises(DamagedError, match="here"):
            Codebook.from_bytes(data[:cut], "here")
    for place in range(0, len(data), max(1, len(data) // 400)):
        altered = bytearray(data)
        altered[place] ^= 1 << (place % 8)
        try:
            again = Codebook.from_bytes(bytes(altered), "here")
        except ReidError:
            continue
        assert again.name == book.name  # a byte of the zip's own that nothing depends on
        assert again._digest() == book._digest()


def rewritten(data: bytes, name: str, value: object) -> bytes:
    with np.load(BytesIO(data)) as arrays:
        held = dict(arrays)
    held[name] = value
    out = BytesIO()
    np.savez(out, **{key: each for key, each in held.items() if each is not None})
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("format_version", 2, FormatError),
        ("format_version", "one", DamagedError),
        ("rotation", np.eye(SIZE, dtype=np.float64), DamagedError),
        ("rotation", np.full((SIZE, SIZE), np.nan, np.float32), DamagedError),
        ("rotation", np.eye(SIZE, dtype=np.float32), DamagedError),  # well formed, but not what was written
        ("centroids", np.zeros((1, 16, 4), np.float32), DamagedError),
        ("ranks", np.zeros(3, np.int32), DamagedError),
        ("model", None, DamagedError),
        ("distortion", -1.0, DamagedError),
        ("growth", np.nan, DamagedError),
    ],
)
def test_each_field_of_a_codebook_is_checked(
    book: Codebook, name: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match="here"):
        Codebook.from_bytes(rewritten(book.to_bytes(), name, value), "here")


def test_a_codebook_runs_no_code(book: Codebook) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("format_version.npy", "w") as member:
        np.lib.format.write_array(member, np.array([print], object), allow_pickle=True)
    with pytest.raises(DamagedError):
        Codebook.from_bytes(out.getvalue(), "x")


def test_expected_recall_falls_with_rows_and_rises_with_refinement(book: Codebook) -> None:
    assert book.expected_recall(100, 100) == 1.0
    table = np.array(
        [[book.expected_recall(n, r) for r in (10, 50, 200, 1000)] for n in (2000, 10**5, 10**7)]
    )
    assert (np.diff(table, axis=1) >= 0).all()
    assert (np.diff(table, axis=0) <= 0).all()
    assert ((table >= 0) & (table <= 1)).all()


def test_vectors_of_another_kind_do_not_fit(book: Codebook) -> None:
    assert book.fit(people(2000, 50)).fits
    strange = np.asarray(
        people(2000, 50)[:, ::-1] @ np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))[0]
    )
    fit = book.fit(strange.astype(np.float32))
    assert not fit.fits
    assert fit.distortion > fit.trained


def test_threads_load_drop_and_search_at_once(book: Codebook) -> None:
    pool, slots, rows = filled(book, [600] * 6)
    data = [book.encode(each) for each in rows]
    stop = threading.Event()

    def churn(seed: int) -> None:
        rng = np.random.default_rng(seed)
        held: list[Slot] = []
        while not stop.is_set():
            held.append(pool.load(data[rng.integers(6)], 600, "x"))
            if len(held) > 5:
                del held[rng.integers(5)]

    def ask(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            chosen = rng.permutation(6)[:3]
            row = int(rng.integers(600))
            mask = RowMask.of(np.arange(600) >= row) if rng.random() < 0.5 else None
            scope = [(slots[number], mask) for number in chosen]
            where, found, _ = pool.search(scope, rows[chosen[1]][row : row + 1], 20, int(rng.integers(1, 3)))
            if (1, row) not in zip(where[0].tolist(), found[0].tolist(), strict=True):
                return False
        return True

    with ThreadPoolExecutor(6) as workers:
        churning = [workers.submit(churn, seed) for seed in range(2)]
        asking = [workers.submit(ask, seed) for seed in range(4)]
        right = [each.result() for each in asking]
        stop.set()
        for each in churning:
            each.result()
    assert right == [True] * 4
    assert pool.bytes_used == 6 * pool.bytes_for(600)


@pytest.mark.parametrize(("rows", "queries", "threads"), [(0, 2, 1), (1, 1, 2), (5000, 3, 1), (40_000, 2, 2)])
def test_inner_products_are_those_of_numpy(rows: int, queries: int, threads: int) -> None:
    stored = people(rows, 8).astype(np.float16) if rows else np.empty((0, SIZE), np.float16)
    vectors = people(queries, 9)
    found = inner_products(stored, vectors, threads)
    assert found.shape == (rows, queries)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, stored.astype(np.float32) @ vectors.T, atol=1e-6)


def test_inner_products_of_odd_sizes_and_numbers() -> None:
    stored = np.array([[1, 2, 3], [np.inf, 0, 0], [-np.inf, 0, 0], [np.nan, 0, 0], [65504, 0, 0]], np.float16)
    found = inner_products(stored, np.array([[1, 1, 1]], np.float32))[:, 0]
    assert found[0] == 6
    assert np.isposinf(found[1])
    assert np.isnan(found[2:4]).all()
    assert found[4] == 65504
    for wrong in (stored.astype(np.float32), stored[:, ::2], stored[::2].T):
        with pytest.raises(ValueError, match="contiguous"):
            inner_products(wrong, np.ones((1, 3), np.float32))  # type: ignore[arg-type]
