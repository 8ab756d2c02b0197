"""Training can begin with what an earlier network knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from reid.errors import ModelError, UnknownNameError
from reid.models import find_model
from reid.networks.checkpoints import load_strictly
from reid.networks.peoplenet import BUILDERS, PeopleNet
from reid.networks.rnet import RNet
from reid.training.start import blend, start_from
from reid.vectors import unit_rows
from reid.weights import checked_paths, write_tensors

EARLIER = "people-rnet-c"


def network(variant: str) -> PeopleNet:
    torch.manual_seed(1)
    return BUILDERS[variant]().eval()


@torch.inference_mode()
def test_the_first_network_tells_people_apart_as_the_earlier_one_did() -> None:
    old = load_strictly(RNet(), checked_paths(find_model(EARLIER, "embed", None), None)[0]).eval()
    new = network("peoplenet_xs")
    start_from(new, EARLIER)
    pictures = torch.nn.functional.interpolate(torch.randn(12, 3, 16, 8), scale_factor=8.0)
    after = unit_rows(new.neck(new.features(pictures)[0]).numpy())
    before = unit_rows(old(pictures).numpy())
    assert (before * after).sum(axis=1).min() > 0.9  # soft parts in place of halves
    assert new.attributes.weight.abs().max() == 0  # what the earlier one lacked begins anew


def test_a_file_of_the_same_network_is_taken_whole(tmp_path: Path) -> None:
    first, second = network("peoplenet_xs"), network("peoplenet_xs")
    with torch.no_grad():
        for value in first.parameters():
            value.add_(0.5)
    path = tmp_path / "net.safetensors"
    write_tensors(path, {
        key: value.numpy() for key, value in first.state_dict().items() if value.is_floating_point()
    })  # fmt: skip
    start_from(second, str(path))
    for key, value in first.named_parameters():
        np.testing.assert_array_equal(value.detach(), second.get_parameter(key).detach())


def test_a_head_that_sees_more_begins_with_what_it_knew(tmp_path: Path) -> None:
    old, new = network("peoplenet_xs"), network("peoplenet_gated")
    with torch.no_grad():
        old.attributes.weight.normal_()
    path = tmp_path / "net.safetensors"
    write_tensors(path, {
        key: value.numpy() for key, value in old.state_dict().items() if value.is_floating_point()
    })  # fmt: skip
    start_from(new, str(path))
    np.testing.assert_array_equal(new.project.weight.detach(), old.project.weight.detach())
    size = old.attributes.weight.shape[1]
    np.testing.assert_array_equal(new.attributes.weight[:, :size].detach(), old.attributes.weight.detach())
    assert new.attributes.weight[:, size:].abs().max() == 0


def test_a_run_can_keep_a_share_of_what_it_began_with(tmp_path: Path) -> None:
    start, trained = network("peoplenet_xs"), network("peoplenet_gated")
    path = tmp_path / "net.safetensors"
    write_tensors(path, {
        key: value.numpy() for key, value in start.state_dict().items() if value.is_floating_point()
    })  # fmt: skip
    with torch.no_grad():
        for value in trained.parameters():
            value.add_(1.0)
    gate, head = (trained.get_parameter(name).clone() for name in ("gate.weight", "attributes.weight"))
    wanted = 0.25 * start.project.weight + 0.75 * trained.project.weight
    blend(trained, str(path), 0.25)
    torch.testing.assert_close(trained.project.weight, wanted)
    torch.testing.assert_close(trained.get_parameter("gate.weight"), gate)
    torch.testing.assert_close(trained.attributes.weight, head)


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot start this network"):
        start_from(network("peoplenet_m"), EARLIER)
    with pytest.raises(UnknownNameError, match="people-rnet-c"):
        start_from(network("peoplenet_xs"), "people-rnet")
