"""No process that was started to help outlives the one it helps. Knows nothing of what the work is."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the system end this process when its parent does, however that ends: what is left of a run that
    was killed would keep its memory, and could write beside the next one.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def die_with_starter() -> None:
    """Have this process end when the one that ordered it does, though a server of forks was its parent.

    That server lives as long as any of its forks: one that is stuck in a clip would keep itself alive.
    """
    starter = multiprocessing.parent_process()
    if starter is not None:
        threading.Thread(target=_end_after, args=(starter,), daemon=True).start()


def _end_after(starter: BaseProcess) -> None:
    starter.join()
    os._exit(1)
