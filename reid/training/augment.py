"""Makes clean crops look like those of real cameras, a whole batch at a time.

Order of nature: the box, what stands before and around the person, the light, the camera's colours, its
sensor, its codec. Owns colour, light and occlusion; `geometry` and `quality` the rest. Half of each colour
draw is shared by the crops of one camera, so that a camera's cast tells nothing of who is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reid.people.labels import BAG, HAT
from reid.registry import IMAGENET_MEAN, IMAGENET_STD
from reid.training import geometry, quality
from reid.training.geometry import chance, normal, uniform
from reid.training.recipe import Augment

_FROM_CROPS = 0.6  # of new surroundings, those taken from other crops
_GREY = (0.299, 0.587, 0.114)
_KNEES = 0.55  # where a window must end, from -1 to 1, for the lower body to be seen


@dataclass(frozen=True)
class Batch:
    """A batch as the network takes it.

    Attributes:
        pixels: (N, 3, H, W) float32, RGB, normalized, channels last in memory.
        colourless: (N,) bool, no colour can be told any more.
        legless: (N,) bool, the lower body is cut off.
        person: (N, 1, H, W) float32, 0 to 1, how much of each pixel is the person; None where not known.
        things: (N, 2, H, W) the same of their bag and of their hat.
    """

    pixels: Tensor
    colourless: Tensor
    legless: Tensor
    person: Tensor | None = None
    things: Tensor | None = None


def to_tensor(crops: NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """(N, H, W, 3) uint8 BGR to (N, 3, H, W) float32 RGB in 0..1 on `device`."""
    pixels = torch.as_tensor(crops).to(device)
    return pixels.flip(3).permute(0, 3, 1, 2).float().div_(255)


def normalized(x: Tensor) -> Tensor:
    """RGB in 0..1 to what the network takes, channels last in memory."""
    mean = torch.tensor(IMAGENET_MEAN, device=x.device).view(1, 3, 1, 1) / 255
    deviation = torch.tensor(IMAGENET_STD, device=x.device).view(1, 3, 1, 1) / 255
    return ((x - mean) / deviation).contiguous(memory_format=torch.channels_last)


def prepare(crops: NDArray[np.uint8] | Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """Crops for measuring: nothing changed but the size; see `Batch.pixels`."""
    x = to_tensor(crops, device)
    if x.shape[2:] != size:
        x = torch.nn.functional.interpolate(x, size=size, mode="area")
    return normalized(x)


def augment(
    crops: NDArray[np.uint8] | Tensor, cameras: NDArray[np.int64], size: tuple[int, int],
    settings: Augment, generator: torch.Generator, masks: NDArray[np.uint8] | Tensor | None = None,
) -> Batch:  # fmt: skip
    """Crops for training.

    Args:
        crops: (N, H, W, 3) uint8 BGR. cameras: (N,) of each.
        size: (height, width) of the network's input, multiples of 8.
        settings: how much of everything.
        generator: of all random numbers; its device is where the work is done.
        masks: (N, H, W) uint8 where in the crops the people are, if that is known; see `CropSet`.
    """
    device = generator.device
    x = to_tensor(crops, device)
    if masks is not None:  # go along with the colours: the person, the bag, the hat
        mask = torch.as_tensor(masks).to(device)
        x = torch.cat([x, torch.stack([mask > 0, mask == BAG, mask == HAT], 1).float()], 1)
    count = len(x)
    window = geometry.draw_windows(count, settings, generator)
    x = geometry.sample(x, window, size)
    x = _some(x, settings.surround_p, _surround, generator)
    x = _some(x, settings.occlude_p, _occlude, generator)
    x, person, things = x[:, :3], x[:, 3:4], x[:, 4:]
    x = _crease(x, person if masks is not None else None, settings.crease_p, generator)
    turns = torch.from_numpy(np.unique(cameras, return_inverse=True)[1].astype(np.int64)).to(device)
    x = _shade(x, settings.shade_p, generator)
    x = _dull(x, settings.dull_p, generator)
    x = _colour(x, turns, settings, generator)
    grey = chance(count, settings.grey_p, generator)
    x = _greyed(x, grey, generator)
    for share, change in (
        (settings.lowres_p, quality.low_resolution), (settings.blur_p, quality.blur),
        (settings.sharpen_p, quality.sharpen), (settings.motion_p, quality.motion),
        (settings.noise_p, _noisy(settings.noise)),
        (settings.jpeg_p, _compressed),
    ):  # fmt: skip
        x = _some(x, share, change, generator)
    x = normalized(_erase(x, settings.erase_p, generator))
    shown = (None, None) if masks is None else (person, things)
    return Batch(x, grey, window.bottom < _KNEES, *shown)


def _some(
    x: Tensor, share: float, change: Callable[[Tensor, torch.Generator], Tensor], generator: torch.Generator
) -> Tensor:
    """`change` applied to a `share` of the batch, in two halves, since some changes draw once for all."""
    chosen = torch.nonzero(chance(len(x), share, generator)).flatten()
    for rows in chosen.chunk(2) if len(chosen) > 1 else (chosen,):
        if len(rows):
            x[rows] = change(x[rows], generator)
    return x


def _noisy(strength: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    return lambda x, generator: quality.noise(x, strength, generator)


def _compressed(x: Tensor, generator: torch.Generator) -> Tensor:
    return quality.jpeg(x, uniform((len(x),), 15, 75, generator))


def _colour(x: Tensor, turns: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """Gamma, gain, cast, saturation, hue and contrast; `turns` (N,) int64 counts the batch's cameras."""
    cameras = int(turns.max()) + 1

    def drawn(deviation: float, channels: int = 1) -> Tensor:
        shared = normal((cameras, channels, 1, 1), deviation / 2**0.5, generator)[turns]
        return shared + normal((len(x), channels, 1, 1), deviation / 2**0.5, generator)

    x = x.clamp(1e-3, 1) ** torch.exp(drawn(settings.gamma))
    x = x * torch.exp(drawn(settings.gain) + drawn(settings.cast, 3))
    grey = _luma(x)
    angle = drawn(settings.hue) * 3.14159
    colour = (x - grey) * torch.exp(drawn(settings.saturation) - 0.1)
    # Turning the colours about the grey axis (Rodrigues); the part along the axis is left out.
    axis = colour.roll(-1, 1) - colour.roll(-2, 1)
    x = grey + colour * torch.cos(angle) + axis * torch.sin(angle) / 3**0.5
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * torch.exp(drawn(settings.contrast))
    return x.clamp(0, 1)


def _crease(x: Tensor, person: Tensor | None, share: float, generator: torch.Generator) -> Tensor:
    """Folds and shading of cloth that synthetic clothes lack, on the person where that is known.

    Light and dark, fine and coarse, for each crop anew: they tell nothing of who it is.
    """
    count, _, height, width = x.shape
    field = torch.zeros(count, 1, height, width, device=x.device)
    for rows, columns in ((6, 4), (20, 8), (24, 24), (64, 32)):
        patches = torch.randn(count, 1, rows, columns, generator=generator, device=x.device)
        strength = uniform((count, 1, 1, 1), 0, 0.2, generator)
        field += torch.nn.functional.interpolate(patches, size=(height, width), mode="bilinear") * strength
    field *= chance(count, share, generator).view(-1, 1, 1, 1)
    return (x * torch.exp(field if person is None else field * person)).clamp(0, 1)


def _dull(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A crowd in dark and greyish clothes, all of the batch alike: who it is must be told by less."""
    if not bool(chance(1, share, generator)):
        return x
    drawn = torch.rand(2, generator=generator, device=x.device)
    grey = _luma(x)
    x = grey + (x - grey) * (0.15 + 0.45 * drawn[0])
    return x.clamp(1e-3, 1) ** (1 + 0.8 * drawn[1])


def _luma(x: Tensor) -> Tensor:
    return (x * torch.tensor(_GREY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _shade(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Light that falls off in some direction over the crop, softly or with an edge (a cast shadow)."""
    count, _, height, width = x.shape
    chosen = chance(count, share, generator).view(-1, 1, 1, 1)
    angle = uniform((count, 1, 1, 1), 0, 6.2832, generator)
    rows = torch.linspace(-1, 1, height, device=x.device).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, width, device=x.device).view(1, 1, 1, -1)
    along = torch.cos(angle) * columns * 0.5 + torch.sin(angle) * rows
    place = along + normal((count, 1, 1, 1), 0.4, generator)
    steepness = torch.exp(uniform((count, 1, 1, 1), 0, 3, generator))
    depth = uniform((count, 1, 1, 1), 0.1, 0.65, generator)
    return torch.where(chosen, x * (1 - depth * torch.sigmoid(place * steepness)), x)


def _greyed(x: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Grey as a camera at night: its infra-red weighs the colours in its own way."""
    weights = uniform((len(x), 3, 1, 1), 0.1, 1, generator)
    grey = (x * weights / weights.sum(1, keepdim=True)).sum(1, keepdim=True)
    return torch.where(chosen.view(-1, 1, 1, 1), grey, x)


def _others(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator, device=generator.device)


def _surround(x: Tensor, generator: torch.Generator) -> Tensor:
    """The person before other surroundings: another crop, a texture, or a plain wall.

    A fourth channel says where the person is; without it they are taken to fill a soft middle.
    """
    count, channels, height, width = x.shape
    if channels > 3:
        keep = torch.nn.functional.avg_pool2d(x[:, 3:4], 3, 1, padding=1, count_include_pad=False)
    else:
        keep = _middle(x, generator)
    crops = x[_others(count, generator), :3]
    crops = torch.where(chance(count, 0.5, generator).view(-1, 1, 1, 1), crops, crops.flip(3))
    kind = torch.rand(count, 1, 1, 1, generator=generator, device=x.device)
    around = torch.where(kind < _FROM_CROPS, crops, _texture(count, (height, width), generator))
    return torch.cat([x[:, :3] * keep + around * (1 - keep), x[:, 3:]], 1)


def _middle(x: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 1, H, W), 1 where a person mostly is."""
    count, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, width, device=x.device).view(1, 1, 1, -1)
    broad = uniform((count, 1, 1, 1), 0.5, 0.7, generator)
    away = (columns.abs() / broad) ** 4 + (rows.abs() / 0.97) ** 8
    return torch.sigmoid((1.2 - away) * 6)


def _texture(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Walls and floors that never were: a colour, patches of three sizes, and bars."""
    device = generator.device
    made = uniform((count, 3, 1, 1), 0, 1, generator)
    made = made.mean(1, keepdim=True) + (made - made.mean(1, keepdim=True)) * 0.5
    for cells in (2, 8, 32):
        patches = torch.randn(count, 3, 2 * cells, cells, generator=generator, device=device)
        patches = patches.mean(1, keepdim=True) * 1.2 + patches * 0.3
        strength = uniform((count, 1, 1, 1), -0.1, 0.2, generator).clamp_min(0)
        made = made + torch.nn.functional.interpolate(patches, size=size, mode="bilinear") * strength
    rows = torch.linspace(-1, 1, size[0], device=device).view(1, 1, -1, 1)
    columns = torch.linspace(-0.5, 0.5, size[1], device=device).view(1, 1, 1, -1)
    angle = uniform((count, 1, 1, 1), 0, 3.14159, generator)
    along = torch.cos(angle) * columns + torch.sin(angle) * rows
    bars = torch.sign(torch.sin(along * torch.exp(uniform((count, 1, 1, 1), 2, 4.2, generator))))
    return (made + bars * uniform((count, 1, 1, 1), -0.3, 0.3, generator).clamp_min(0)).clamp(0, 1)


def _occlude(x: Tensor, generator: torch.Generator) -> Tensor:
    """Something in front, mostly of the legs or of one side: a piece of another crop, upside down."""
    count, _, height, width = x.shape
    rows = torch.linspace(0, 1, height, device=x.device).view(1, 1, -1, 1)
    columns = torch.linspace(0, 1, width, device=x.device).view(1, 1, 1, -1)
    low = rows > uniform((count, 1, 1, 1), 0.55, 0.9, generator)
    beside = columns > uniform((count, 1, 1, 1), 0.6, 0.85, generator)
    beside = torch.where(chance(count, 0.5, generator).view(-1, 1, 1, 1), beside, beside.flip(3))
    hidden = torch.where(chance(count, 0.6, generator).view(-1, 1, 1, 1), low, beside)
    piece = x[_others(count, generator)].flip(2)
    piece[:, 3:] = 0  # not the person any more
    return torch.where(hidden, piece, x)


def _erase(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A rectangle of plain colour or of noise (Zhong et al. 2020)."""
    count, _, height, width = x.shape
    chosen = chance(count, share, generator).view(-1, 1, 1, 1)
    tall = uniform((count, 1, 1, 1), 0.08, 0.35, generator)
    broad = uniform((count, 1, 1, 1), 0.2, 0.7, generator)
    top = uniform((count, 1, 1, 1), 0, 1, generator) * (1 - tall)
    left = uniform((count, 1, 1, 1), 0, 1, generator) * (1 - broad)
    rows = torch.linspace(0, 1, height, device=x.device).view(1, 1, -1, 1)
    columns = torch.linspace(0, 1, width, device=x.device).view(1, 1, 1, -1)
    inside = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + broad)
    plain = uniform((count, 3, 1, 1), 0, 1, generator)
    random = torch.rand(x.shape, generator=generator, device=x.device)
    fill = torch.where(chance(count, 0.6, generator).view(-1, 1, 1, 1), plain, random)
    return torch.where(chosen & inside, fill, x)
