"""Files kept open: how many, for how long, and that everybody reads the same with or without room."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from indexer.shard.handles import Handles, KeptOpen


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    found = {}
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
        found[name] = str(tmp_path / name)
    return found


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def read(kept: KeptOpen, name: str) -> tuple[int, bytes]:
    with kept.opened(name) as descriptor:
        return descriptor, os.pread(descriptor, 1, 0)


def test_a_file_is_opened_once_and_closed_with_its_segment(paths: dict[str, str]) -> None:
    kept = KeptOpen(paths, Handles())
    first, content = read(kept, "a")
    assert (first, content) == read(kept, "a") == (first, b"a")
    assert is_open(first)
    del kept
    gc.collect()
    assert not is_open(first)


def test_without_room_every_use_opens_and_closes(paths: dict[str, str]) -> None:
    handles = Handles()
    handles._room = 1
    kept = KeptOpen(paths, handles)
    held, _ = read(kept, "a")
    other, content = read(kept, "b")
    assert (content, is_open(held), is_open(other)) == (b"b", True, False)
    del kept
    gc.collect()
    assert handles._room == 1  # given back
    alone, content = read(KeptOpen(paths, None), "a")
    assert (content, is_open(alone)) == (b"a", False)


def test_threads_that_open_at_once_leave_one_file_open(paths: dict[str, str]) -> None:
    handles = Handles()
    room = handles._room
    for _ in range(5):
        kept = KeptOpen(paths, handles)
        with ThreadPoolExecutor(8) as pool:
            assert {content for _, content in pool.map(partial(read, kept), ["a"] * 16)} == {b"a"}
        assert handles._room == room - 1
        del kept
        gc.collect()
        assert handles._room == room


def test_closing_closes_every_file_and_reading_goes_on(paths: dict[str, str]) -> None:
    handles = Handles()
    kept = KeptOpen(paths, handles)
    held, _ = read(kept, "a")
    handles.close()
    assert not is_open(held)
    again, content = read(kept, "a")
    assert (content, is_open(again)) == (b"a", False)
    handles.close()
