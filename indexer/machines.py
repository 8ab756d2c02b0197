"""The machines of a Ray cluster (extra `cluster`): the only module that imports ray. Knows no work."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from reid.errors import InputError, MissingExtraError

NAMESPACE = "reid"

_REACH_S = 10.0


def connect(address: str) -> Any:
    """The module `ray`, connected to a cluster that is there; once for a process.

    Args:
        address: HOST:PORT of its head, or "auto" on a machine that is part of it.

    Raises:
        MissingExtraError: ray is not installed.
        InputError: no cluster answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "cluster") from None
    try:
        _try_to_reach(address)
        if ray.is_initialized():
            return ray
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        raise InputError(
            f"no Ray cluster at {address} ({str(error).splitlines()[0]}); start one with: ray start --head"
            " --disable-usage-stats, see docs/cluster.md"
        ) from None
    return ray


def _try_to_reach(address: str) -> None:
    """Ray itself tries for hours."""
    host, _, port = address.rpartition(":")
    if address != "auto":
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()


def disconnect() -> None:
    """Let the cluster go, if this process is connected to one; what it started as detached stays."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
