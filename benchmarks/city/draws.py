"""Random numbers of a city: every part draws from its own stream, so that parts do not move each other."""

from __future__ import annotations

import numpy as np

Random = np.random.Generator

CAMERAS, WEATHER, CLIPS, MISSING, LOOKALIKES, CROWD = range(6)
"""The streams; their order is part of the format."""


def generator(seed: int, stream: int, *numbers: int) -> Random:
    """The generator of one thing: `numbers` say which (a clip, a person)."""
    return np.random.default_rng([seed, stream, *numbers])


def a_seed(random: Random) -> int:
    """A seed for somebody else's random numbers."""
    return int(random.integers(2**31))
