"""Turns: how many at once, in which order, and what an error leaves."""

import threading
import time

import pytest

from search.turns import Turns


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_than_so_many_at_once_and_everybody_in_the_end(at_once: int) -> None:
    turns, lock = Turns(at_once), threading.Lock()
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(5):
            with turns.turn():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.002)
                with lock:
                    inside -= 1
                    done += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most, done, inside) == (at_once, 40, 0)


def test_whoever_came_first_goes_first_also_before_who_was_just_in() -> None:
    turns, order = Turns(1), list[str]()

    def work(name: str, times: int) -> None:
        for _ in range(times):
            with turns.turn():
                order.append(name)

    with turns.turn():
        threads = []
        for name in "abc":
            thread = threading.Thread(target=work, args=(name, 2))
            thread.start()
            threads.append(thread)
            while len(turns._waiting) < len(threads):
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert order[:3] == ["a", "b", "c"]
    assert len(order) == 6


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="oops"), turns.turn():
        raise ValueError("oops")
    with turns.turn():
        pass


def test_who_is_interrupted_while_waiting_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(1)

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    with turns.turn():
        with monkeypatch.context() as patch:
            patch.setattr(threading.Event, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt), turns.turn():
                pass
        assert not turns._waiting
    with turns.turn():
        pass
