"""Reads weights files safely and loads them strictly into our networks.

Owns which names in a checkpoint are ours to drop (the training classifier), what is said when it does
not fit, and the folding of batch norms. Knows no architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from reid.errors import ModelError
from reid.weights import read_tensors

_SHOWN = 6
_TRAINING_ONLY = "classifier."

# torchreid saves its rank-1 score, a numpy scalar, beside the weights. These constructors are all that
# unpickling one needs, under the names numpy 1 and numpy 2 wrote, and they run no code of the file.
_NUMPY_SCALARS = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or a torch checkpoint, by parameter name.

    Only plain tensors are ever unpickled (torch's `weights_only`). A training checkpoint's `state_dict` is
    unwrapped, the `module.` of data-parallel training taken off and the classifier left out.

    Raises:
        ModelError: neither format, damaged, or holding something other than tensors.
    """
    if path.suffix == ".safetensors":
        return {name: torch.from_numpy(value) for name, value in read_tensors(path).items()}
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):  # type: ignore[arg-type]
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise nearly anything
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{path}: expected a torch checkpoint of plain tensors or a .safetensors file, got something"
            f" that cannot be read as one ({reason}); copy it again from its origin"
        ) from None
    state = held.get("state_dict", held) if isinstance(held, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path}: expected a state dict (names to tensors), got {type(held).__name__}")
    bare = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in bare.items() if not name.startswith(_TRAINING_ONLY)}


def _listed(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}{more}"


def load_strictly(network: nn.Module, path: Path) -> nn.Module:
    """Fill `network` with the checkpoint at `path`: every parameter, and nothing left over.

    Batch-norm step counters (`num_batches_tracked`) may be absent: inference does not use them.

    Returns:
        `network` itself.

    Raises:
        ModelError: unreadable, or names or shapes differ; lists which.
    """
    found = read_checkpoint(path)
    wanted = network.state_dict()
    missing = [n for n in wanted if n not in found and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in found if n not in wanted]
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    problems = [_listed(kind, names) for kind, names in kinds.items() if names]
    if problems:
        raise ModelError(
            f"{path}: the weights do not fit the architecture; {'; '.join(problems)};"
            " name the architecture they were trained with"
        )
    network.load_state_dict(found, strict=True)
    return network


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Multiply each batch normalization into the convolution before it, for inference only.

    The outputs stay the same; fewer passes over memory, and no bfloat16 rounding of the statistics. A
    module's children are taken in the order they were registered: a BatchNorm2d registered directly
    after a Conv2d must normalize that convolution's output.

    Returns:
        `network` itself, in evaluation mode; its state dict is no longer a checkpoint's.
    """
    for module in list(network.eval().modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return network
