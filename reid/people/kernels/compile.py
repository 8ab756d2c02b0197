"""How the renderer's inner loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reid.errors import MissingExtraError

try:
    import numba
except ImportError:
    raise MissingExtraError("numba", "synthetic") from None

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` to machine code at its first call, kept on disk for the next process.

    Floating-point rules are relaxed (fused operations, reordering): results repeat exactly on one
    machine, and may differ in the last bits between processors.
    """
    compiled_function: F = numba.njit(cache=True, fastmath=True)(function)
    return compiled_function
