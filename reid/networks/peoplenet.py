"""The residual network for synthetic people: an embedding and, from the same features, attributes.

Dense 3x3 convolutions, since those train ten times faster on a CPU than depthwise ones. Instance
normalization in the first stages takes brightness, contrast and colour cast of the camera out (Pan et al.
2018, "IBN-Net": whole layers as in IBN-b, half of a layer's channels as in IBN-a). Body parts are soft:
each part's place is a learned mask that begins as a horizontal band, so that a crop that is cut too large or
too short moves the mask and not the part. A gate, where a variant has one, says where the person is, and
closes the features around. Bags and hats are found by place where a variant says so (`finder`). Owns the
architecture; knows no weights file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid.attributes import COLUMNS
from reid.networks.finder import Finder
from reid.registry import IMAGENET_MEAN, IMAGENET_STD

DIMENSION = 256
_OPEN = 2.0  # logit of a gate that has learned nothing
_LEAST_ROOTED = 1e-4  # the slope of a root has no end at 0
_BENT = 0.9  # below 1, so that what is lighter stays lighter
_BAND = 0.16  # of the crop's height: how far a part's mask reaches at first, standard deviation


@dataclass(frozen=True)
class NetConfig:
    """Sizes of a `PeopleNet`.

    Attributes:
        channels: after the stem and after each of the three stages.
        blocks: residual blocks in each stage; each stage halves the picture.
        halves: in which stages half of the channels are normalized by instance inside the blocks (IBN-a).
        instance: after which stages all channels are (IBN-b); the stem always is.
        parts: soft body parts from head to feet. stripes: hard ones, for the maxima. means: hard ones, for
            the means; 0 for none.
        soft: take the mean of 3 x 3 pixels first: most cameras sharpen, and synthetic ones too little.
        tone: mean of the picture, 0 to 1, to which each crop is lightened or darkened first, so that dark
            clothes, which most people wear, differ by more; 0 leaves crops alone.
        gate: multiply the last features with how likely they are the person's, and let the attributes see
            the maxima in stripes too.
        finds: tell bags and hats by where they are, see `reid.networks.finder`.
        dimension: length of the embedding.
    """

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int] = (1, 2, 2)
    halves: tuple[bool, bool, bool] = (False, True, False)
    instance: tuple[bool, bool, bool] = (True, False, False)
    parts: int = 4
    stripes: int = 4
    means: int = 0
    soft: bool = False
    tone: float = 0.0
    gate: bool = False
    finds: bool = False
    dimension: int = DIMENSION


VARIANTS = {
    "peoplenet_xs": NetConfig((24, 48, 96, 160), halves=(False, False, False), parts=2),
    "peoplenet_toned": NetConfig((24, 48, 96, 160), halves=(False, False, False), parts=2, tone=0.5),
    "peoplenet_gated": NetConfig(
        (24, 48, 96, 160), halves=(False, False, False), parts=2, tone=0.5, gate=True
    ),
    "peoplenet_s": NetConfig((24, 48, 96, 192)),
    "peoplenet_m": NetConfig((32, 64, 128, 208)),
    "peoplenet_l": NetConfig((32, 64, 128, 256), blocks=(1, 2, 3), tone=0.5),
    "peoplenet_lg": NetConfig((32, 64, 128, 256), blocks=(1, 2, 3), tone=0.5, gate=True),
    "peoplenet_ls": NetConfig((32, 64, 128, 256), blocks=(1, 2, 3), means=4, soft=True, tone=0.6),
    "peoplenet_lsf": NetConfig((32, 64, 128, 256), blocks=(1, 2, 3), soft=True, tone=0.6, finds=True),
    "peoplenet_lgs": NetConfig((32, 64, 128, 256), blocks=(1, 2, 3), means=4, soft=True, tone=0.6, gate=True),
}
"""By the name a registry row or a recipe uses: 1.6 (three of them), 2.1, 2.7 and 4.7 to 5 million parameters.

The first three are RNet with soft parts in place of two halves, so that they can start from its weights;
peoplenet_ls and _lgs are _l and _lg as they are used, and _lsf is made for describing people.
"""


class HalfInstanceNorm(nn.Module):
    """Instance normalization of the first half of the channels, batch normalization of the others (IBN-a)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split = channels // 2
        self.instance = nn.InstanceNorm2d(self.split, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.split)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        first, second = x[:, : self.split], x[:, self.split :]
        return torch.cat([self.instance(first), self.batch(second)], 1)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016); the first normalized by `norm`."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, half_instance: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1: nn.Module = HalfInstanceNorm(outputs) if half_instance else nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class Tone(nn.Module):
    """Bends each crop's brightness, x + a x (1 - x), until its mean is `target`; black and white stay."""

    def __init__(self, target: float) -> None:
        super().__init__()
        self.target = target
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1) / 255, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalized RGB to the same."""
        mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
        light = x * deviation + mean
        bend = light * (1 - light)
        wanted = self.target - light.mean((1, 2, 3), keepdim=True)
        amount = (wanted / bend.mean((1, 2, 3), keepdim=True).clamp_min(1e-4)).clamp(-_BENT, _BENT)
        return x + amount / deviation * bend


class SoftParts(nn.Module):
    """Means over learned soft masks, one for each body part, beside the whole figure's mean and maximum."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(channels, parts, 1)
        nn.init.normal_(self.mask.weight, std=0.01)
        self.register_buffer("centres", (torch.arange(parts) + 0.5) / parts, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, (2 + parts) * C)."""
        count, height = x.shape[0], x.shape[2]
        rows = (torch.arange(height, device=x.device, dtype=x.dtype) + 0.5) / height
        centres = self.get_buffer("centres").to(x.dtype)
        bands = -0.5 * ((rows[None] - centres[:, None]) / _BAND) ** 2
        logits = self.mask(x) + bands[None, :, :, None]
        weights = logits.flatten(2).softmax(2)
        flat = x.flatten(2)
        parts = torch.bmm(weights, flat.transpose(1, 2)).reshape(count, -1)
        return torch.cat([flat.mean(2), flat.amax(2), parts], 1)


class Features(NamedTuple):
    """What a network makes of (N, 3, H, W) crops.

    Attributes:
        embedding: (N, D), before the neck.
        stripes: (N, stripes * C), roots of the maxima in horizontal stripes.
        attributes: (N, A) logits.
        gate: (N, 1, H / 16, W / 16) logits of where the person is; None without a gate.
        means: (N, means * C), roots of the means in horizontal stripes.
        found: (N, 3, H / 8, W / 8) logits of where bags and hats are; None without a finder.
    """

    embedding: Tensor
    stripes: Tensor
    attributes: Tensor
    gate: Tensor | None
    means: Tensor
    found: Tensor | None


class PeopleNet(nn.Module):
    """Person embedder with an attribute head.

    Trained by its embedding after a batch-norm neck (Luo et al. 2019), used by something plainer: the
    embedding before the neck, which scales directions by what synthetic people differ in, beside the maxima
    (and means) of the last features in horizontal stripes, which no training has bent towards synthetic
    people; each of unit length, joined, and reduced to `dimension` numbers. Measured on real people, that is
    six points of rank-1 above the neck. Fully convolutional: any input of 48 x 24 pixels or more, 128 x 64 by
    default.

    Attributes:
        reduce: from the joined numbers to the output; passes the embedding alone until `fit_reduction`.
    """

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        first = config.channels[0]
        self.tone: nn.Module = Tone(config.tone) if config.tone else nn.Identity()
        self.stem = nn.Conv2d(3, first, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.InstanceNorm2d(first, affine=True)
        self.stages = nn.ModuleList(self._stage(config, number) for number in range(3))
        last = config.channels[-1]
        self.parts = SoftParts(last, config.parts)
        self.project = nn.Linear((2 + config.parts) * last, config.dimension)
        self.neck = nn.BatchNorm1d(config.dimension)
        self.gate = nn.Conv2d(last, 1, 1) if config.gate else None
        told = 2 + config.parts + (config.stripes if config.gate else 0)
        self.attributes = nn.Linear(told * last, COLUMNS)
        self.finder = Finder(config.channels[2], last) if config.finds else None
        joined = config.dimension + (config.stripes + config.means) * last
        self.reduce = nn.Linear(joined, config.dimension)
        self.reduce.requires_grad_(False)
        self._start()

    @staticmethod
    def _stage(config: NetConfig, number: int) -> nn.Sequential:
        inputs, outputs = config.channels[number : number + 2]
        half = config.halves[number]
        layers: list[nn.Module] = [Block(inputs, outputs, 2, half_instance=half)]
        layers += [Block(outputs, outputs, 1, half_instance=half) for _ in range(config.blocks[number] - 1)]
        if config.instance[number]:
            layers.append(nn.InstanceNorm2d(outputs, affine=True))
        return nn.Sequential(*layers)

    def _start(self) -> None:
        """First weights: He's for convolutions that a ReLU follows; attributes begin knowing nothing."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.attributes.weight)
        nn.init.zeros_(self.attributes.bias)
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, _OPEN)  # type: ignore[arg-type]
        nn.init.eye_(self.reduce.weight)
        nn.init.zeros_(self.reduce.bias)

    def features(self, x: Tensor) -> Features:
        """What training works on, for (N, 3, H, W) normalized RGB."""
        fine, maps = self._maps(x)
        gate = found = None
        if self.gate is not None:
            gate = self.gate(maps)
            maps = maps * gate.sigmoid()
        pooled = self.parts(maps)
        stripes = _rooted(F.adaptive_max_pool2d(maps, (self.config.stripes, 1)))
        means = maps.new_zeros((len(maps), 0))
        if self.config.means:
            means = _rooted(F.adaptive_avg_pool2d(maps, (self.config.means, 1)))
        told = pooled if self.gate is None else torch.cat([pooled, stripes], 1)
        attributes = self.attributes(told)
        if self.finder is not None:
            found = self.finder(fine, maps)
            attributes = self.finder.told(found, attributes)
        return Features(self.project(pooled), stripes, attributes, gate, means, found)

    def joined(self, found: Features) -> Tensor:
        """What `reduce` reduces, (N, D + (stripes + means) * C)."""
        parts = [found.embedding, found.stripes, *([found.means] if self.config.means else [])]
        return torch.cat([F.normalize(each, dim=1) for each in parts], 1)

    def joined_twice(self, x: Tensor) -> Tensor:
        """`joined` of (N, 3, H, W) crops and of their mirror images, added; float32."""
        return self.joined(self.features(x)).float() + self.joined(self.features(x.flip(3))).float()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) normalized RGB to embeddings (N, D), not of unit length, and attribute logits (N, A).

        The columns of the logits are those of `reid.attributes.GROUPS`.
        """
        found = self.features(x)
        return self.reduce(self.joined(found)), found.attributes

    def _maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the last two stages, (N, C, H / 8, W / 8) and (N, C, H / 16, W / 16), 0 or more."""
        if self.config.soft:  # each colour for itself, since runtimes fill three up to sixteen
            planes = x.reshape(-1, 1, *x.shape[2:])
            x = F.avg_pool2d(planes, 3, 1, 1, count_include_pad=False).reshape(x.shape)
        x = F.relu(self.stem_norm(self.stem(self.tone(x))), inplace=True)
        fine = self.stages[1](self.stages[0](x))
        return fine, self.stages[2](fine)


def _rooted(x: Tensor) -> Tensor:
    return x.flatten(1).clamp_min(_LEAST_ROOTED).sqrt()


BUILDERS = {name: partial(PeopleNet, config) for name, config in VARIANTS.items()}
"""Architecture name to constructor."""
