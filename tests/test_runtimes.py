"""Which runtime runs the models of ours: the choice, what is kept of it, and that all of them agree."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import cli
from indexer.health import examine
from indexer.pipeline import PipelineChoice, PipelineOptions
from indexer.settings import load_settings
from indexer.shard.files import ArchiveFiles
from reid.cache import one_at_a_time
from reid.detector import load_detector
from reid.embedder import load_embedder
from reid.errors import InputError, MissingExtraError, ModelError, StorageError
from reid.models import find_model
from reid.pyramid import PyramidDetector
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER, SPECS, ModelSpec
from reid.runtimes import TorchModel, build, choice, trial
from reid.runtimes.choice import Choice, keep_choice, kept_choice, openvino_version
from reid.runtimes.conversions import open_openvino
from reid.runtimes.openvino import OpenVinoRuntime
from reid.runtimes.pytorch import TorchRuntime, on_one_thread, threads
from reid.runtimes.trial import open_model
from search import demo
from search.commands.opening import tell_of_trial

torch.set_num_threads(1)
ROOT = Path(__file__).parents[1]

needs_openvino = pytest.mark.skipif(openvino_version() is None, reason="the extra openvino is not installed")

OURS = [spec.name for spec in SPECS if spec.task == "embed" and spec.backend == "torch"]
SPEC = replace(find_model(DEFAULT_EMBEDDER, "embed"), name="small")


class Small(nn.Module):
    """Vectors of two numbers; `batch_fixed` is a network that a trace cannot follow."""

    def __init__(self, batch_fixed: bool = False) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)
        self.batch_fixed = batch_fixed

    def forward(self, x: Tensor) -> Tensor:
        means: Tensor = self.layer(x).mean((2, 3))
        return means + torch.zeros(len(x), 2) if self.batch_fixed else means


def small(spec: ModelSpec = SPEC, loads: list[int] | None = None, batch_fixed: bool = False) -> TorchModel:
    """A model that is converted in no time; `loads` counts how often torch's module was made."""

    def load() -> tuple[nn.Module]:
        if loads is not None:
            loads.append(1)
        torch.manual_seed(0)
        return (Small(batch_fixed).eval(),)

    return TorchModel(spec, load, ((-1, 3, 16, 8),), ((4, 3, 16, 8),), bfloat16=False)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "reid-search"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A cache folder for the real models, which take seconds to be converted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def taking(monkeypatch: pytest.MonkeyPatch, torch_s: float, openvino_s: float) -> list[int]:
    """Trials measure this; how often there was one."""
    trials = []

    def seconds(opened: dict[str, object], batches: object) -> dict[str, float]:
        trials.append(1)
        return {name: {"torch": torch_s, "openvino": openvino_s}[name] for name in opened}

    monkeypatch.setattr(trial, "processor_seconds", seconds)
    return trials


def batch(count: int = 3) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 3, 16, 8)).astype(np.float32)


@needs_openvino
@pytest.mark.parametrize(
    ("torch_s", "openvino_s", "kind"), [(2.0, 1.0, OpenVinoRuntime), (1.0, 2.0, TorchRuntime)]
)
def test_the_faster_one_is_chosen_once(
    torch_s: float, openvino_s: float, kind: type, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = taking(monkeypatch, torch_s, openvino_s)
    assert kept_choice(SPEC) is None
    assert trial.is_to_be_tried(SPEC, "auto")
    assert not trial.is_to_be_tried(SPEC, "openvino")
    assert isinstance(open_model(small(), "auto")[0], kind)
    assert not trial.is_to_be_tried(SPEC, "auto")
    kept = kept_choice(SPEC)
    assert kept is not None
    assert kept.seconds == {"torch": torch_s, "openvino": openvino_s}
    assert kept.note == ""
    taking(monkeypatch, openvino_s, torch_s)  # another measurement would choose the other one
    assert isinstance(open_model(small(), "auto")[0], kind)
    assert len(trials) == 1


@needs_openvino
def test_processor_time_is_measured(cached: Path) -> None:
    open_model(small(), "auto")
    kept = kept_choice(SPEC)
    assert kept is not None
    assert set(kept.seconds) == {"torch", "openvino"}
    assert kept.runtime == min(kept.seconds, key=lambda name: kept.seconds[name])
    assert kept.difference is not None
    assert kept.difference < 1e-4


@needs_openvino
@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(choice, "processor", lambda: "another"),
        lambda patch: patch.setattr(choice, "instructions", lambda: "fewer"),
        lambda patch: patch.setattr(choice, "openvino_version", lambda: "2030.1"),
        lambda patch: patch.setattr(choice, "_code", lambda: "another"),
    ],
    ids=["processor", "instructions", "version", "code"],
)
def test_it_holds_for_this_machine_and_these_versions(
    change: Callable[[pytest.MonkeyPatch], None], cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = taking(monkeypatch, 2.0, 1.0)
    open_model(small(), "auto")
    change(monkeypatch)
    assert kept_choice(SPEC) is None
    open_model(small(), "auto")
    assert len(trials) == 2


@needs_openvino
def test_it_holds_for_one_model(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, 2.0, 1.0)
    open_model(small(), "auto")
    assert kept_choice(find_model(DEFAULT_DETECTOR, "detect")) is None
    assert kept_choice(replace(SPEC, builder="peoplenet_m")) is None


@needs_openvino
@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\x00", b"[1, 2]", b"{}", b'{"runtime": "openvino"}',
        b'{"runtime": "caffe", "seconds": {"torch": 1}, "difference": 0, "note": "", "measured_at": ""}',
        b'{"runtime": "torch", "seconds": {"torch": "1"}, "difference": 0, "note": "", "measured_at": ""}',
    ],
)  # fmt: skip
def test_a_damaged_choice_is_made_again(
    content: bytes, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = taking(monkeypatch, 2.0, 1.0)
    open_model(small(), "auto")
    (path,) = cached.glob("runtime-*.json")
    path.write_bytes(content)
    assert kept_choice(SPEC) is None
    assert isinstance(open_model(small(), "auto")[0], OpenVinoRuntime)
    assert len(trials) == 2
    assert kept_choice(SPEC) is not None


@needs_openvino
def test_a_kept_network_is_not_made_again(cached: Path) -> None:
    loads: list[int] = []
    (first,) = open_openvino(small(loads=loads))
    (second,) = open_openvino(small(loads=loads))
    assert len(loads) == 1
    assert np.array_equal(first(batch())[0], second(batch())[0])


@needs_openvino
@pytest.mark.parametrize("damage", ["cut off", "empty", "other bits", "gone"])
def test_a_damaged_network_is_made_again(damage: str, cached: Path) -> None:
    (expected,) = open_openvino(small())
    (path,) = cached.glob("openvino-*.npz")
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(20 if damage == "other bits" else 1):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes({"cut off": whole[: len(whole) // 2], "empty": b""}.get(damage, bytes(data)))
        if damage == "gone":
            path.unlink()
        (found,) = open_openvino(small())
        assert np.array_equal(found(batch())[0], expected(batch())[0])


@needs_openvino
def test_a_forced_runtime_is_not_tried(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = taking(monkeypatch, 1.0, 2.0)
    assert isinstance(open_model(small(), "openvino")[0], OpenVinoRuntime)
    assert isinstance(open_model(small(), "torch")[0], TorchRuntime)
    assert trials == []
    assert kept_choice(SPEC) is None


def test_without_the_extra_torch_is_used_and_openvino_named(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(trial, "openvino_version", lambda: None)
    assert isinstance(open_model(small(), "auto")[0], TorchRuntime)
    assert not cached.exists()
    with pytest.raises(MissingExtraError, match=r"reid-search\[openvino\]"):
        open_model(small(), "openvino")


@needs_openvino
def test_a_gpu_needs_no_trial(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = taking(monkeypatch, 2.0, 1.0)
    monkeypatch.setattr(trial, "has_gpu", lambda: True)
    assert not trial.is_to_be_tried(SPEC, "auto")
    assert isinstance(open_model(small(), "auto")[0], TorchRuntime)
    assert trials == []


@needs_openvino
def test_a_network_that_openvino_runs_wrongly_stays_with_torch(cached: Path) -> None:
    assert isinstance(open_model(small(batch_fixed=True), "auto")[0], TorchRuntime)
    kept = kept_choice(SPEC)
    assert kept is not None
    assert (kept.runtime, set(kept.seconds)) == ("torch", {"torch"})
    assert kept.note == "expected outputs of shape (4, 2), OpenVINO gave (2, 2)"


@needs_openvino
def test_a_fixed_batch_is_refused(cached: Path) -> None:
    fixed = replace(small(), inputs=((2, 3, 16, 8),))
    with pytest.raises(ModelError, match="batch 1 or any, got 2"):
        open_model(fixed, "openvino")


@needs_openvino
def test_other_outputs_are_no_choice(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OpenVinoRuntime.__call__

    def wrong(self: OpenVinoRuntime, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(each * 1.1 for each in real(self, pixels))

    monkeypatch.setattr(OpenVinoRuntime, "__call__", wrong)
    taking(monkeypatch, 2.0, 1.0)
    assert isinstance(open_model(small(), "auto")[0], TorchRuntime)
    kept = kept_choice(SPEC)
    assert kept is not None
    assert "differ from torch's by 0.100" in kept.note


@needs_openvino
def test_where_nothing_can_be_kept_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    trials = taking(monkeypatch, 2.0, 1.0)
    assert isinstance(open_model(small(), "auto")[0], TorchRuntime)
    assert trials == []
    with pytest.raises(StorageError):
        open_model(small(), "openvino")


def test_one_process_at_a_time(cached: Path) -> None:
    code = "from reid.cache import one_at_a_time\nwith one_at_a_time(): print('in')"
    with one_at_a_time():
        second = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1.0)
    assert second.communicate(timeout=60)[0] == b"in\n"


@needs_openvino
def test_who_comes_second_waits_for_the_choice(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = taking(monkeypatch, 2.0, 1.0)
    opened = []
    workers = [
        threading.Thread(target=lambda: opened.append(open_model(small(), "auto")[0])) for _ in range(3)
    ]
    with one_at_a_time():
        for worker in workers:
            worker.start()
    for worker in workers:
        worker.join()
    assert [type(each) for each in opened] == [OpenVinoRuntime] * 3
    assert len(trials) == 1


def test_one_thread_for_a_while() -> None:
    torch.set_num_threads(2)
    with on_one_thread():
        assert threads() == 1
    assert threads() == 2
    torch.set_num_threads(1)


@needs_openvino
@pytest.mark.parametrize("count", [1, 2])
def test_openvino_keeps_to_the_threads_of_torch(count: int, cached: Path) -> None:
    torch.set_num_threads(count)
    (runtime,) = open_openvino(small())
    torch.set_num_threads(1)
    assert isinstance(runtime, OpenVinoRuntime)
    assert int(runtime._network.get_property("INFERENCE_NUM_THREADS")) == count


@needs_openvino
def test_openvino_tells_nobody(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom reid.embedder import load_embedder\nload_embedder(runtime='openvino')\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])"
    )
    folders = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {**os.environ, **folders, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}


def crops(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [
        np.kron(random.integers(0, 256, (8, 4, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        for _ in range(count)
    ]


@needs_openvino
@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", OURS)
def test_openvino_and_torch_describe_people_alike(name: str) -> None:
    ours, theirs = load_embedder(name), load_embedder(name, runtime="openvino")
    shown = crops(19)  # a full batch and another one
    assert (ours.embed(shown) * theirs.embed(shown)).sum(1).min() > 0.999
    mine, their = ours.attributes(shown), theirs.attributes(shown)
    assert (mine is None) == (their is None)
    if mine is not None and their is not None:
        assert np.abs(mine - their).max() < 0.05 * max(1.0, float(np.abs(mine).max()))


@needs_openvino
@pytest.mark.usefixtures("warm")
def test_openvino_and_torch_are_equal_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_BFLOAT16", frozenset())
    ours, theirs = load_embedder(), load_embedder(runtime="openvino")
    assert np.abs(ours.embed(crops(19)) - theirs.embed(crops(19))).max() < 3e-5


@needs_openvino
@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("size", [(33, 33), (65, 193), (97, 65), (353, 641), (705, 1281)])
def test_the_finer_looks_agree_at_every_size(size: tuple[int, int]) -> None:
    ours, theirs = load_detector(), load_detector(runtime="openvino")
    assert isinstance(ours, PyramidDetector)
    assert isinstance(theirs, PyramidDetector)
    look = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
    for mine, their in zip(ours._fine(look), theirs._fine(look), strict=True):
        assert mine.shape == their.shape
        assert np.linalg.norm(mine - their) < 0.05 * np.linalg.norm(mine)


@needs_openvino
@pytest.mark.usefixtures("warm")
def test_the_same_people_are_found() -> None:
    clip = demo.CITY.clip(demo.read_demo().passages_of(demo.PERSON)[0].clip)
    options = PipelineOptions(frames_per_second=2.0)
    mine, their = (
        PipelineChoice(DEFAULT_DETECTOR, DEFAULT_EMBEDDER, None, options, runtime)().run(clip).people
        for runtime in ("torch", "openvino")
    )
    assert len(mine) > 0
    assert len(their) == len(mine)
    for a, b in zip(mine, their, strict=True):
        assert (a.vectors.astype(np.float32) @ b.vectors.astype(np.float32).T).max() > 0.99


def test_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = ArchiveFiles(tmp_path)
    monkeypatch.delenv("REID_RUNTIME")
    assert load_settings(archive).runtime == "auto"
    archive.settings.write_text('runtime = "torch"\n')
    assert load_settings(archive).runtime == "torch"
    monkeypatch.setenv("REID_RUNTIME", "openvino")
    assert load_settings(archive).runtime == "openvino"
    monkeypatch.setenv("REID_RUNTIME", "tensorflow")
    with pytest.raises(InputError, match=r"runtime.*'auto', 'torch' or 'openvino'; got 'tensorflow'"):
        load_settings(archive)


@needs_openvino
def test_the_doctor_and_the_list_tell_the_choice(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = find_model(DEFAULT_EMBEDDER, "embed")

    def told() -> str:
        checks = {check.name: check.detail for check in examine(ArchiveFiles(tmp_path / "archive"))}
        return checks[f"runtime of {DEFAULT_EMBEDDER}"]

    assert told() == "torch, as the setting runtime says"
    monkeypatch.setenv("REID_RUNTIME", "auto")
    assert told().startswith("not chosen yet")
    taking(monkeypatch, 0.5, 0.25)
    open_model(small(embedder), "auto")
    assert told().startswith("openvino (a batch on one thread took torch 500.0 ms, openvino 250.0 ms; 20")
    listed = CliRunner().invoke(cli.app, ["models", "list", "--json", "--home", str(tmp_path / "archive")])
    rows = {row["name"]: row for row in json.loads(listed.stdout)["models"]}
    assert rows[DEFAULT_EMBEDDER]["runtime"] == "auto"
    assert rows[DEFAULT_EMBEDDER]["chosen"]["runtime"] == "openvino"
    assert rows[DEFAULT_EMBEDDER]["chosen"]["seconds"] == {"torch": 0.5, "openvino": 0.25}
    assert rows[DEFAULT_DETECTOR]["chosen"] is None
    assert rows["yolox-nano"]["runtime"] == "onnx"


@needs_openvino
def test_a_trial_is_announced(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    monkeypatch.setenv("REID_RUNTIME", "auto")
    tell_of_trial(archive, load_settings(archive))
    assert "trying once what runs the models fastest" in capsys.readouterr().err
    cached.mkdir(parents=True, exist_ok=True)
    embedder = find_model(DEFAULT_EMBEDDER, "embed")
    wanted = (find_model(DEFAULT_DETECTOR, "detect"), embedder, find_model(embedder.describer, "describe"))
    for spec in wanted:
        tell_of_trial(archive, load_settings(archive))
        assert "trying once" in capsys.readouterr().err
        keep_choice(spec, Choice("torch", {"torch": 1.0}, None, "", "2026-11-28T00:00:00Z"))
    tell_of_trial(archive, load_settings(archive))
    assert capsys.readouterr().err == ""
