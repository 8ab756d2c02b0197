"""Starts a network from the weights of an earlier one of ours instead of from chance.

Owns which tensor of an older architecture goes where, and which parts may begin anew.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch.nn import functional

from reid.errors import ModelError
from reid.models import find_model
from reid.networks.checkpoints import read_checkpoint
from reid.networks.peoplenet import PeopleNet
from reid.weights import checked_paths

_FROM_RNET = (
    ("stage1_norm.", "stages.0.1."), ("stage1.", "stages.0."), ("stage2.", "stages.1."),
    ("stage3.", "stages.2."),
)  # fmt: skip
_NEW = ("attributes.", "parts.mask.", "reduce.", "gate.", "finder.")  # what an older network may lack
_WIDER = "attributes.weight"  # may see more than it did; what was there comes first
_COUNTER = "num_batches_tracked"


def start_from(network: PeopleNet, name: str) -> None:
    """Load what fits of a model: an embedder of the package, or a weights file.

    Args:
        network: changed in place; what the older weights lack stays as it is.
        name: of the registry, or a path of a .safetensors file or checkpoint.

    Raises:
        UnknownNameError: neither a model nor a file. ModelError: unreadable, or of another architecture.
    """
    path = Path(name)
    if not path.is_file():
        spec = find_model(name, "embed", None)
        path = checked_paths(spec, None)[0]
    given = {_renamed(key): value for key, value in read_checkpoint(path).items()}
    wanted = {key: value.shape for key, value in network.state_dict().items() if not key.endswith(_COUNTER)}
    if _WIDER in given and given[_WIDER].shape[1] < wanted[_WIDER][1]:
        missing = wanted[_WIDER][1] - given[_WIDER].shape[1]
        given[_WIDER] = functional.pad(given[_WIDER], (0, missing))
    begun_anew = [key for key in given if key.startswith("reduce.") and given[key].shape != wanted.get(key)]
    for key in begun_anew:  # an output made for other parts: it is fitted after training in any case
        del given[key]
    lacking = [key for key in wanted if key not in given and not key.startswith(_NEW)]
    odd = [key for key, value in given.items() if key in wanted and value.shape != wanted[key]]
    if lacking or odd:
        first = (lacking + odd)[0]
        raise ModelError(f"{path}: cannot start this network: {len(lacking + odd)} tensors differ ({first})")
    network.load_state_dict(given, strict=False)


def blend(network: PeopleNet, name: str, share: float) -> None:
    """Move the weights `share` of the way back to what they began with (Wortsman et al. 2022): what training
    bent towards the people it saw, and what it learned, are then in one network.

    Args:
        network: changed in place; heads, and what the older weights lack, stay as they are.
        name, share: of the older weights, as for `start_from`; 0 changes nothing.

    Raises:
        UnknownNameError, ModelError: see `start_from`.
    """
    older = copy.deepcopy(network)
    start_from(older, name)
    with torch.no_grad():
        for (key, value), before in zip(
            network.state_dict().items(), older.state_dict().values(), strict=True
        ):
            if value.is_floating_point() and not key.startswith(_NEW):
                value.lerp_(before, share)


def _renamed(key: str) -> str:
    for old, new in _FROM_RNET:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
