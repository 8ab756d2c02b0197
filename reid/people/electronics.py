"""The camera behind the lens: exposure, colour, noise, sharpening, compression, frame rate.

Turns linear light into pictures. Knows nothing of scenes or people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from reid import images
from reid.errors import InputError
from reid.images import Picture
from reid.people.kernels.tone import develop
from reid.people.light import DARK

F32 = NDArray[np.float32]

_STEPS = 4096
_KNEE = 0.62  # where highlights begin to be compressed
SOFT_MARGIN = 10
"""Pixels that lens and sharpening reach."""
_FIELD_MARGIN = 64  # pixels by which a prepared noise field is larger than the picture


@dataclass(frozen=True)
class Electronics:
    """Settings of one camera at one light.

    Attributes:
        gain: what linear light is multiplied with.
        white_balance: of red, green, blue, around 1.
        gamma: of the display curve, 1.7 to 2.6.
        saturation, contrast: 1 changes nothing; black: what black is lifted to (or crushed, below 0).
        noise: standard deviation in display units 0..1 at mid grey.
        blur: of the lens, standard deviation in pixels; sharpness: amount of unsharp masking.
        resolution: the sensor's share of the picture's width, 0.4 to 1.
        jpeg_quality: 1..100, for stills; crf: of H.264, for clips.
        frame_rate: frames a second, 6 to 15.
        monochrome: grey pictures.
        shoulder: how softly highlights are compressed; 1 by day, more where lamps stand in the dark.

    Raises:
        InputError: a value outside its range.
    """

    gain: float
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 2.2
    saturation: float = 1.0
    contrast: float = 1.0
    black: float = 0.0
    noise: float = 0.01
    blur: float = 0.5
    sharpness: float = 0.3
    resolution: float = 1.0
    jpeg_quality: int = 70
    crf: int = 26
    frame_rate: int = 10
    monochrome: bool = False
    shoulder: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("gain", 1e-6, 1e6), ("gamma", 1.0, 4.0), ("noise", 0.0, 0.5), ("blur", 0.0, 10.0),
            ("sharpness", 0.0, 5.0),
            ("resolution", 0.1, 1.0), ("jpeg_quality", 1, 100), ("crf", 0, 51), ("frame_rate", 1, 60),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"camera electronics: expected {name} from {low} to {high}, got {value}")

    @cached_property
    def _curve(self) -> F32:
        """Display value by v / (1 + v): straight, then a knee, then the gamma."""
        place = np.linspace(0, 1 - 1 / (4 * _STEPS), _STEPS + 1)
        light = place / (1 - place)
        knee = _KNEE / self.shoulder
        over = np.maximum(light - knee, 0)
        bent = np.minimum(light, knee) + (1 - knee) * (1 - np.exp(-over / ((1 - knee) * self.shoulder**1.5)))
        return np.asarray(bent ** (1 / self.gamma), np.float32)

    def expose(self, linear: F32) -> F32:
        """Display RGB 0..1 of linear RGB, (h, w, 3) float32 both; each pixel for itself."""
        out = np.empty_like(linear)
        gains = np.array(self.white_balance, np.float32) * np.float32(self.gain)
        saturation = 0.0 if self.monochrome else self.saturation
        develop(np.ascontiguousarray(linear), gains, self._curve, saturation, self.contrast, self.black, out)
        return out

    def capture(self, shown: F32, rng: np.random.Generator) -> Picture:
        """A still of exposed light: sensor resolution, lens, noise, sharpening, JPEG.

        Args:
            shown: (h, w, 3) of `expose`.
            rng: makes the noise.
        """
        height, width = shown.shape[:2]
        small = shown
        if self.resolution < 1:
            size = max(2, round(width * self.resolution)), max(2, round(height * self.resolution))
            small = images.resize_floats(shown, *size)
        small = images.blur_floats(small, self.blur * self.resolution)
        fine = rng.standard_normal((*small.shape[:2], 1), np.float32)
        colour = rng.standard_normal(small.shape, np.float32)
        if self.monochrome:
            colour = fine
        strength = self.noise * (1.3 - 0.6 * small)  # dark parts are amplified more by the gamma
        small = small + (0.75 * fine + 0.65 * colour) * strength
        if self.resolution < 1:
            small = images.resize_floats(small, width, height)
        picture = images.sharpen(_bgr(small), self.sharpness)
        return images.through_jpeg(picture, self.jpeg_quality)

    def soften(self, picture: Picture) -> Picture:
        """Lens and sharpening of an exposed BGR picture or of a part with `SOFT_MARGIN` pixels around it."""
        return images.sharpen(images.blur(picture, self.blur), self.sharpness, 1.2)

    def add_noise(self, frame: Picture, rng: np.random.Generator) -> Picture:
        """A new frame with the sensor's noise, cut from fields that were prepared once."""
        if self.noise <= 0:
            return frame.copy()
        height, width = frame.shape[:2]
        more, less = _noise_fields(height, width, round(self.noise, 4), self.monochrome)
        top, left = (int(each) for each in rng.integers(0, _FIELD_MARGIN, 2))
        window = slice(top, top + height), slice(left, left + width)
        if rng.random() < 0.5:
            more, less = less, more
        return images.add_signed(frame, more[window], less[window])


@lru_cache(maxsize=8)
def _noise_fields(height: int, width: int, noise: float, grey: bool) -> tuple[Picture, Picture]:
    """What is added and what is taken away, uint8, a margin larger than the picture; the same every time."""
    rng = np.random.default_rng([height, width, round(noise * 10_000), grey])
    shape = (height + _FIELD_MARGIN, width + _FIELD_MARGIN)
    field = rng.standard_normal((*shape, 1), np.float32)
    field = (
        np.repeat(field, 3, axis=2)
        if grey
        else 0.75 * field + 0.65 * rng.standard_normal((*shape, 3), np.float32)
    )
    field = np.round(images.blur_floats(field, 0.45) * np.float32(noise * 255 * 1.25))
    return np.maximum(field, 0).astype(np.uint8), np.maximum(-field, 0).astype(np.uint8)


def _bgr(shown: F32) -> Picture:
    """Display RGB 0..1 as BGR uint8."""
    return np.ascontiguousarray((np.clip(shown, 0, 1)[..., ::-1] * 255 + 0.5).astype(np.uint8))


def to_picture(shown: F32) -> Picture:
    """BGR uint8 picture of display RGB 0..1, (h, w, 3); no noise, no lens."""
    return _bgr(shown)


def make_electronics(kind: str, rng: np.random.Generator, background: F32) -> Electronics:
    """A camera of a random make that exposes itself for what it sees.

    Args:
        kind: of `light.LIGHTS`.
        rng: decides make and age.
        background: (H, W, 3) linear RGB of the empty scene.
    """
    dark = kind in DARK
    dull = rng.random() < 0.06  # old camera, dirty dome
    daylight = kind in ("sun", "overcast")
    gain = automatic_gain(background, float(rng.uniform(0.17, 0.28)), kind)
    warmth, green = rng.normal(0, 0.05 if daylight else 0.08), rng.normal(0, 0.015)
    balance = np.exp(np.array([warmth, 0.0, -warmth]) + np.array([-green, green, -green]))
    balance /= balance.mean()
    grey = kind == "infrared"
    return Electronics(
        gain=gain,
        white_balance=(1.0, 1.0, 1.0) if grey else (float(balance[0]), float(balance[1]), float(balance[2])),
        gamma=float(rng.uniform(1.95, 2.4)),
        saturation=float(rng.uniform(0.65, 0.85) if dull else rng.uniform(0.8, 1.25))
        * (0.85 if dark else 1.0),
        contrast=float(rng.uniform(0.8, 0.95) if dull else rng.uniform(0.98, 1.22)),
        black=float(rng.uniform(0.02, 0.06) if dull else rng.uniform(-0.03, 0.03)),
        noise=float(rng.uniform(0.004, 0.014)) * {"dusk": 1.4, "night": 1.8, "infrared": 1.5}.get(kind, 1.0),
        blur=float(rng.uniform(1.1, 1.6) if dull else rng.uniform(0.5, 1.1)),
        sharpness=float(rng.choice([0.0, rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.8)], p=[0.4, 0.42, 0.18])),
        resolution=float(rng.choice([1.0, 0.75, 0.6], p=[0.75, 0.18, 0.07])),
        jpeg_quality=int(rng.integers(38, 88)),
        crf=int(rng.integers(24, 32)),
        frame_rate=int(rng.choice([6, 8, 10, 12, 15], p=[0.1, 0.2, 0.35, 0.15, 0.2])),
        monochrome=grey,
        shoulder={"night": 2.2, "infrared": 2.0, "dusk": 1.4}.get(kind, 1.0),
    )


def automatic_gain(background: F32, target: float, kind: str) -> float:
    """Gain that brings the picture's typical light to `target`, without burning out its bright parts.

    By night a camera comes less near to its target, so that pictures stay dark.
    """
    height = background.shape[0]
    luma = background[height // 5 :: 4, ::4] @ np.array([0.299, 0.587, 0.114], np.float32)
    middle = 0.6 * float(np.exp(np.log(luma + 1e-4).mean())) + 0.4 * float(luma.mean())
    bright = float(np.percentile(luma, 96))
    share, head = {"dusk": (0.62, 1.8), "night": (0.5, 3.2), "infrared": (0.65, 2.5)}.get(kind, (1.0, 1.7))
    return float(np.clip(min(target * share / middle, head / max(bright, 1e-4)), 0.05, 60.0))
