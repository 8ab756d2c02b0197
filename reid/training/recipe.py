"""A training recipe: every setting of a run, read from a TOML file and checked.

Owns names, defaults and limits of the settings. A key nobody knows is refused: a typing error must not cost a
night. Knows no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from reid.errors import InputError, UnknownNameError

_SUFFIX = ".toml"


def _check(where: str, values: object, limits: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in limits.items():
        value = getattr(values, name)
        if not low <= value <= high:
            raise InputError(f"{where}.{name}: expected {low:g} to {high:g}, got {value:g}")


@dataclass(frozen=True)
class Data:
    """Which crops are made; together with `seed` this decides every pixel.

    Attributes:
        people: how many. cameras: different ones each person is seen by. crops: of a person in a camera.
        block: people who are seen by the same cameras, and among whom lookalikes are found.
        lookalikes: share of people dressed nearly like somebody else. outfits: of each person.
        height, width: pixels stored; more than the network's input, so that a box can be shifted.
        seed: of it all.
    """

    people: int = 1000
    cameras: int = 8
    crops: int = 1
    block: int = 64
    lookalikes: float = 0.3
    outfits: int = 1
    height: int = 160
    width: int = 80
    seed: int = 1

    def __post_init__(self) -> None:
        _check("data", self, {"people": (2, 1e6), "cameras": (1, 100), "crops": (1, 20), "block": (2, 1000),
               "lookalikes": (0, 1), "outfits": (1, 10), "height": (48, 512), "width": (24, 256),
               "seed": (0, 2**31 - 1)})  # fmt: skip

    @property
    def digest(self) -> str:
        """Names a cache: 16 hexadecimal digits that change with any setting."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Network:
    """Which network, and what makes it forget styles while it trains.

    Attributes:
        variant: of `reid.networks.peoplenet.VARIANTS`.
        mixstyle: share of batches in which the second stage's statistics are mixed between crops.
        start: an embedder of the package, or a weights file, to begin with; "" for chance.
        teachers: "variant:weights variant:weights": networks of earlier runs, whose joint output this one
            learns to give; "" for none.
        keep: share of those weights in what the run leaves.
    """

    variant: str = "peoplenet_s"
    mixstyle: float = 0.5
    start: str = ""
    teachers: str = ""
    keep: float = 0.0

    def __post_init__(self) -> None:
        _check("network", self, {"mixstyle": (0, 1), "keep": (0, 1)})
        if self.keep and not self.start:
            raise InputError("network.keep: expected 0 where network.start names no weights")


@dataclass(frozen=True)
class Batch:
    """What a step looks at: `people` times `crops`.

    Attributes:
        people, crops: of each step.
        run: people who stand together in a batch, neighbours in the data: they share cameras and are
            lookalikes of each other. 1 for none.
    """

    people: int = 16
    crops: int = 4
    run: int = 4

    def __post_init__(self) -> None:
        _check("batch", self, {"people": (2, 4096), "crops": (2, 64), "run": (1, 4096)})


@dataclass(frozen=True)
class Loss:
    """How wrong a batch is.

    Attributes:
        identity: weight of the classifier. distil: of the distance to what the teachers say.
        classifier: "linear", or "cosine" (Wang et al. 2018, "CosFace"), with `scale` and `margin`.
        smoothing: of the labels.
        metric: "triplet" (batch-hard, on batch-standardized features), "circle" (Sun et al. 2020) or "none".
        metric_weight: of it; circle loss is about ten times larger than the triplet's.
        stripes: weight of the triplet loss on the maxima in stripes, which are half of the output.
        gate: weight of the network's gate: is this part of the picture the person?
        found: weight of the maps of bags and hats, where the network has some.
        attributes: weight of all attributes together; balanced: rare answers weigh as much as frequent ones,
            but for the very rare. gender: train that column too.
    """

    identity: float = 1.0
    distil: float = 0.0
    classifier: str = "linear"
    scale: float = 20.0
    margin: float = 0.1
    smoothing: float = 0.1
    metric: str = "triplet"
    metric_weight: float = 1.0
    stripes: float = 0.0
    gate: float = 0.5
    found: float = 4.0
    attributes: float = 0.1
    balanced: bool = False
    gender: bool = False

    def __post_init__(self) -> None:
        for name, known in (("classifier", ("linear", "cosine")), ("metric", ("triplet", "circle", "none"))):
            if getattr(self, name) not in known:
                raise UnknownNameError(f"loss.{name}", getattr(self, name), known)
        _check("loss", self, {"scale": (1, 256), "margin": (0, 1), "smoothing": (0, 0.9),
               "metric_weight": (0, 100), "identity": (0, 100), "distil": (0, 100), "stripes": (0, 100),
               "gate": (0, 100), "found": (0, 100), "attributes": (0, 100)})  # fmt: skip


@dataclass(frozen=True)
class Schedule:
    """How long, how fast.

    Attributes:
        steps: at most; 0 for no limit.
        minutes: at most, of this machine, validation left out; 0 for no limit. The learning rate follows
            whichever of the two is nearer its end, so only a run limited by steps repeats exactly.
        rate: highest learning rate of AdamW. weight_decay: of matrices only.
        warmup: share of the run in which the rate rises. floor: share of `rate` it ends with.
        ema: decay of the averaged weights, which are what is kept.
        clip: largest norm of the gradient.
        sizes: the input's height by share of the run, "0:96 0.6:128"; the width is half of it.
        validate_minutes, save_minutes: how often.
        seed: of first weights, order and augmentation.
    """

    steps: int = 0
    minutes: float = 0.0
    rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.03
    floor: float = 0.01
    ema: float = 0.998
    clip: float = 10.0
    sizes: str = "0:128"
    validate_minutes: float = 10.0
    save_minutes: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check("schedule", self, {"steps": (0, 1e9), "minutes": (0, 1e6), "rate": (1e-7, 10),
               "ema": (0, 0.999999), "weight_decay": (0, 10), "warmup": (0, 0.9), "floor": (0, 1),
               "clip": (1e-3, 1e6),
               "validate_minutes": (0, 1e6), "save_minutes": (0, 1e6), "seed": (0, 2**31 - 1)})  # fmt: skip
        self.size_at(0.0)

    def size_at(self, done: float) -> tuple[int, int]:
        """(height, width) of the input when `done` (0..1) of the run is over."""
        try:
            pairs = sorted((float(at), int(size)) for at, size in (p.split(":") for p in self.sizes.split()))
        except ValueError:
            pairs = []
        if not pairs or pairs[0][0] != 0 or any(not 48 <= size <= 512 or size % 16 for _, size in pairs):
            raise InputError(
                f'schedule.sizes: expected "0:96 0.6:128" (share of the run:height, a multiple of 16),'
                f" beginning at 0, got {self.sizes!r}"
            )
        height = [size for at, size in pairs if at <= done][-1]
        return height, height // 2


@dataclass(frozen=True)
class Augment:
    """How crops are made worse: shares of crops (`*_p`) and strengths.

    Attributes:
        flip_p: mirrored.
        scale, shift, aspect, turn: a detector's box: standard deviations of the logarithm of size, of place
            (share of size), of the logarithm of the aspect, and radians.
        truncate_p: boxes that miss a part, mostly the legs.
        gamma, gain, cast, contrast, saturation, hue: colour and light; standard deviations, half of each
            drawn once for a camera, half for each crop.
        crease_p: folds and shading of the clothes, other ones in each crop.
        shade_p: light that falls off across the crop.
        dull_p: batches in which everybody wears dull and dark colours, as most people do.
        grey_p: grey or infra-red.
        lowres_p, blur_p, sharpen_p, motion_p, noise_p, jpeg_p: of the picture's quality; noise: its
            strength, 0..1.
        surround_p: what is around the person replaced by another crop, a texture or a plain wall.
        occlude_p: a part covered by a piece of another crop. erase_p: or by plain or random pixels.
    """

    flip_p: float = 0.5
    scale: float = 0.07
    shift: float = 0.05
    aspect: float = 0.06
    turn: float = 0.03
    truncate_p: float = 0.12
    gamma: float = 0.25
    gain: float = 0.18
    cast: float = 0.09
    contrast: float = 0.2
    saturation: float = 0.3
    hue: float = 0.04
    crease_p: float = 0.0
    shade_p: float = 0.25
    dull_p: float = 0.0
    grey_p: float = 0.06
    lowres_p: float = 0.25
    blur_p: float = 0.2
    sharpen_p: float = 0.05
    motion_p: float = 0.05
    noise_p: float = 0.5
    noise: float = 0.03
    jpeg_p: float = 0.3
    surround_p: float = 0.15
    occlude_p: float = 0.12
    erase_p: float = 0.4

    def __post_init__(self) -> None:
        limits = {each.name: (0.0, 1.0) for each in dataclasses.fields(self)}
        _check("augment", self, limits)


@dataclass(frozen=True)
class Recipe:
    """All of a run."""

    name: str
    data: Data = field(default_factory=Data)
    validation: Data = field(default_factory=lambda: Data(people=200, cameras=4, seed=900_001))
    network: Network = field(default_factory=Network)
    batch: Batch = field(default_factory=Batch)
    loss: Loss = field(default_factory=Loss)
    schedule: Schedule = field(default_factory=Schedule)
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        if bool(self.network.teachers) != (self.loss.distil > 0):
            raise InputError("loss.distil: expected above 0 with network.teachers, and 0 without")
        if self.validation.seed == self.data.seed:
            raise InputError("validation.seed: expected another seed than data.seed: people held out")

    @property
    def digest(self) -> str:
        """Names a run that may be resumed: changes with any setting but how long and how often.

        How long may be changed: that is what resuming a finished run is for.
        """
        table = dataclasses.asdict(self)
        for name in ("steps", "minutes", "validate_minutes", "save_minutes"):
            del table["schedule"][name]
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def built_in_recipes() -> dict[str, Path]:
    """Name to file of the recipes that come with the package."""
    folder = Path(str(resources.files("reid.training"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def load_recipe(name: str) -> Recipe:
    """The recipe of this name or in this file.

    Raises:
        UnknownNameError: neither a built-in recipe nor a file.
        InputError: not TOML, a key nobody knows, a value of another type or out of its limits.
    """
    known = built_in_recipes()
    path = known.get(name, Path(name))
    if name not in known and path.suffix != _SUFFIX:
        raise UnknownNameError("recipe", name, known)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path}: cannot be read ({error}); check the path") from None
    return parse_recipe(text, path.stem, str(path))


def parse_recipe(text: str, name: str, where: str = "recipe") -> Recipe:
    """Read the text of a recipe file; see `load_recipe`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: expected TOML ({error})") from None
    try:
        built: Recipe = _built(Recipe, {**table, "name": name}, "")
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return built


def _built(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    """The dataclass `kind` from a TOML table, nested ones too; every key known and of its type."""
    types = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        place = f"{where}.{key}" if where else key
        if key not in types:
            raise UnknownNameError("setting", place, [f"{where}.{each}" if where else each for each in types])
        wanted = types[key]
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            if not isinstance(value, dict):
                raise InputError(f"{place}: expected a table [{place}], got {value!r}")
            values[key] = _built(wanted, value, place)
        elif wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values[key] = float(value)
        elif type(value) is not wanted:
            raise InputError(f"{place}: expected {wanted.__name__}, got {value!r}")
        else:
            values[key] = value
    return kind(**values)
