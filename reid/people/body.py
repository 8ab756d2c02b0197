"""Bodies of any age and build: one mesh whose shape follows age, sex, height, weight and muscle.

The shape space is that of the package `anny` (Apache-2.0; body data of MakeHuman, CC0), which blends
624 displacement fields by products of its parameters. It is read once with anny's own loader, thinned to
about 4,500 vertices, and kept in the user's cache folder, so that rendering needs neither anny nor torch.
Knows no clothes and no pose. The only module that imports anny.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.cache import cache_folder
from reid.durable import make_folder, write_npz
from reid.errors import MissingExtraError

Vertices = NDArray[np.float32]
"""(V, 3) float32, metres, z up, facing -y, arms slightly raised to the sides."""

_FORMAT = 2
_CELLS = (0.011, 0.017, 0.020, 0.024)  # metres: mesh width kept on head, hands, feet, the rest
_ORIGINS = ("african", "asian", "caucasian")
_MEAN_ADULT: Mapping[str, float] = {"age": 0.67}


@dataclass(frozen=True)
class Body:
    """One body at rest.

    Attributes:
        vertices: (V, 3) float32, metres, z up, facing -y.
        joints: (B, 3) float32, where each bone begins.
    """

    vertices: Vertices
    joints: NDArray[np.float32]

    @property
    def height(self) -> float:
        """Metres from sole to crown."""
        return float(np.ptp(self.vertices[:, 2]))


@dataclass(frozen=True)
class BodyModel:
    """What all bodies share, and how their shapes differ.

    Attributes:
        faces: (F, 3) int32.
        canonical: (V, 3) float32, the mean adult's vertices; clothes are cut in these coordinates.
        canonical_joints: (B, 3) float32.
        bones: names of the B bones, parents before children.
        parents: (B,) int32, -1 for the root.
        weight_bones, weights: (V, 4) int32 and float32; rows of weights sum to 1.
        features: names of the shape parameters, in the order of `anchors`.
        anchors: per feature, the parameter values at which its variations are reached.
        mask: (K, A) bool, which anchors each displacement field is a product of.
        template, template_joints: (V, 3), (B, 3) float32.
        fields, joint_fields: (K, V, 3) float16, (K, B, 3) float32 displacements.
    """

    faces: NDArray[np.int32]
    canonical: Vertices
    canonical_joints: NDArray[np.float32]
    bones: tuple[str, ...]
    parents: NDArray[np.int32]
    weight_bones: NDArray[np.int32]
    weights: NDArray[np.float32]
    features: tuple[str, ...]
    anchors: tuple[NDArray[np.float32], ...]
    mask: NDArray[np.bool_]
    template: Vertices
    template_joints: NDArray[np.float32]
    fields: NDArray[np.float16]
    joint_fields: NDArray[np.float32]

    def body(self, shape: Mapping[str, float]) -> Body:
        """The body of these parameters (0..1 each, age -1/3..1; what is not named is 0.5).

        Ages: -1/3 newborn, 0 baby, 1/3 child, 2/3 young, 1 old. Of the three origins only the ratio counts.

        Raises:
            KeyError: a parameter the model does not have.
        """
        unknown = set(shape) - set(self.features)
        if unknown:
            raise KeyError(f"expected shape parameters among {self.features}, got {sorted(unknown)}")
        value = {feature: shape.get(feature, 0.5) for feature in self.features}
        origins = sum(value[name] for name in _ORIGINS)
        value.update({name: value[name] / origins for name in _ORIGINS})
        share = np.concatenate(
            [_shares(value[f], at) for f, at in zip(self.features, self.anchors, strict=True)]
        )
        weight = np.where(self.mask, share, np.float32(1)).prod(axis=1)
        used = np.flatnonzero(weight > 1e-6)
        vertices = self.template + np.tensordot(weight[used], self.fields[used].astype(np.float32), axes=1)
        joints = self.template_joints + np.tensordot(weight[used], self.joint_fields[used], axes=1)
        return Body(np.asarray(vertices, np.float32), np.asarray(joints, np.float32))

    def region(self, *prefixes: str) -> NDArray[np.float32]:
        """(V,) float32: how much each vertex hangs on the bones whose names begin so."""
        chosen = np.array([bone.startswith(prefixes) for bone in self.bones], np.float32)
        return np.asarray((chosen[self.weight_bones] * self.weights).sum(axis=1), np.float32)


def _shares(value: float, anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(A,) float32: linear interpolation between the anchors; a lone anchor has share `value`."""
    if len(anchors) == 1:
        return np.full(1, value, np.float32)
    return np.array([np.interp(value, anchors, row) for row in np.eye(len(anchors))], np.float32)


@cache
def body_model() -> BodyModel:
    """The one body model, from the cache folder or made by anny (half a minute, once per machine).

    Raises:
        MissingExtraError: anny is not installed and nothing is cached.
        StorageError: the cache folder cannot be written.
    """
    try:
        version = metadata.version("anny")
    except metadata.PackageNotFoundError:
        raise MissingExtraError("anny", "synthetic") from None
    path = cache_folder() / f"body-{version}-{_FORMAT}.npz"
    if not path.exists():
        make_folder(path.parent)
        write_npz(path, _thin(_read_anny()))
    with np.load(path) as stored:
        return _pack(dict(stored))


def _pack(arrays: Mapping[str, Any]) -> BodyModel:
    """The model of stored arrays, in which names are string arrays and anchors one list with counts."""
    values = dict(arrays)
    counts = np.cumsum(values.pop("anchor_counts"))[:-1]
    values["anchors"] = tuple(np.split(values["anchors"], counts))
    for name in ("bones", "features"):
        values[name] = tuple(str(each) for each in values[name])
    return BodyModel(**values)


def _read_anny() -> dict[str, Any]:
    """The full model as arrays."""
    try:
        import anny
    except ImportError:
        raise MissingExtraError("anny", "synthetic") from None
    model = anny.Anny(topology="notoes", phenotypes="all", phenotype_blendshapes="original").float()
    anchors = {name: value.numpy() for name, value in model.anchors.named_buffers()}
    order = [*_ORIGINS, "gender", "age", "muscle", "weight", "height", "proportions", "cupsize", "firmness"]
    lists = [anchors.get(name, np.zeros(1, np.float32)) for name in order]
    return {
        "faces": model.faces.numpy().astype(np.int32),
        "bones": np.array(model.bone_labels),
        "parents": np.array(model.bone_parents, np.int32),
        "weight_bones": model.vertex_bone_indices.numpy(),
        "weights": model.vertex_bone_weights.numpy(),
        "features": np.array(order),
        "anchors": np.concatenate(lists).astype(np.float32),
        "anchor_counts": np.array([len(each) for each in lists]),
        "mask": model.stacked_phenotype_blend_shapes_mask.numpy() > 0,
        "template": model.template_vertices.numpy(),
        "template_joints": model.template_bone_heads.numpy(),
        "fields": model.blendshapes.numpy().astype(np.float16),
        "joint_fields": model.bone_heads_blendshapes.numpy(),
    }


def _thin(arrays: dict[str, Any]) -> dict[str, Any]:
    """Merge vertices that share a grid cell (Rossignac and Borrel 1993), finer on the head."""
    full = _pack({**arrays, "canonical": arrays["template"], "canonical_joints": arrays["template_joints"]})
    mean = full.body(_MEAN_ADULT)
    regions = [full.region("head", "eye", "neck03"), full.region("wrist", "finger", "metacarpal"),
               full.region("foot", "toe")]  # fmt: skip
    cell = np.full(len(mean.vertices), _CELLS[-1])
    for size, region in zip(_CELLS, regions, strict=False):
        cell[region > 0.5] = size
    limb = [full.region(*names) > 0.5 for names in (("upperarm", "lowerarm"), ("upperleg", "lowerleg"))]
    kind = sum((mask * (index + 1) for index, mask in enumerate([*[r > 0.5 for r in regions], *limb])), 0)
    side = np.sign(mean.vertices[:, 0]) * (kind > 0)
    key = np.column_stack([kind, side, np.floor(mean.vertices / cell[:, None])])
    _, group = np.unique(key, axis=0, return_inverse=True)
    kept = _nearest_to_middle(mean.vertices, group)
    faces = group[arrays["faces"]]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    bones, weights = _strongest(arrays["weight_bones"][kept], arrays["weights"][kept])
    return {
        **arrays,
        "faces": faces[whole].astype(np.int32),
        "canonical": mean.vertices[kept],
        "canonical_joints": mean.joints,
        "weight_bones": bones,
        "weights": weights,
        "template": arrays["template"][kept],
        "fields": arrays["fields"][:, kept],
    }


def _nearest_to_middle(vertices: Vertices, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """(G,) the vertex of each group that lies nearest to the group's middle."""
    count = np.bincount(group)
    middle = np.stack([np.bincount(group, vertices[:, axis]) / count for axis in range(3)], axis=1)
    distance = np.linalg.norm(vertices - middle[group], axis=1)
    order = np.lexsort((distance, group))
    return np.asarray(order[np.searchsorted(group[order], np.arange(len(count)))], np.int64)


def _strongest(
    bones: NDArray[np.int64], weights: NDArray[np.float32], keep: int = 4
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `keep` strongest bones of each vertex, weights made to sum to 1 again."""
    order = np.argsort(-weights, axis=1)[:, :keep]
    strongest = np.take_along_axis(weights, order, axis=1)
    strongest /= strongest.sum(axis=1, keepdims=True)
    return np.take_along_axis(bones, order, axis=1).astype(np.int32), strongest.astype(np.float32)
