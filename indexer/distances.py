"""Distances on the ground. Knows no camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EARTH_M = 6_371_008.8  # mean radius


def distance_m(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Metres between two points in degrees, along a great circle."""
    others = np.array([other_latitude, other_longitude])
    return float(distances_m(latitude, longitude, others[:1], others[1:])[0])


def distances_m(
    latitude: float, longitude: float, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N,) metres from a point to (N,) others in degrees, along great circles (haversine); NaN from NaN."""
    a, b = np.radians(latitude), np.radians(latitudes)
    across = np.radians(longitudes - longitude)
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(across / 2) ** 2
    return np.asarray(2 * _EARTH_M * np.arcsin(np.sqrt(np.minimum(1.0, half))))
