"""A whole run: crops made or opened, training with saving and measuring, weights and card at the end.

Owns the clock and the folder of a run: `checkpoint.pt`, `history.json`, and at the end the weights, the model
card `README.md` and `figures.json`. The caller shows what happens (`Watch`).
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from reid.durable import make_folder, unfinished, write_file
from reid.errors import InputError, storage_errors
from reid.networks.peoplenet import BUILDERS, PeopleNet
from reid.training import checkpoint
from reid.training.cropset import Crops, open_crops
from reid.training.distil import goals, load_teachers
from reid.training.export import Exported, Made, export, round_weights, tensors_of
from reid.training.folder import read_crops
from reid.training.recipe import Data, Recipe, Schedule
from reid.training.rendering import render
from reid.training.start import blend, start_from
from reid.training.stream import Rendering, Stream
from reid.training.trainer import StepLosses, Trainer, training_device
from reid.training.validation import (
    ValidationSet,
    fit_attributes,
    fit_reduction,
    held_out,
    labelled_folder,
    measure,
)
from reid.weights import write_tensors

CHECKPOINT = "checkpoint.pt"
HISTORY = "history.json"
GOALS = "goals.npy"
_AHEAD = 4  # batches of people who must be there before a streamed run begins
_LOOK_SECONDS = 2.0
_TICKS = 1000
_SMOOTH = 0.98


class Watch(Protocol):
    """Who is told what happens."""

    def progress(self, what: str, done: int, of: int) -> None:
        """`done` of `of` parts of `what` are done."""
        ...

    def say(self, line: str) -> None:
        """Something worth a line."""
        ...


@dataclass(frozen=True)
class Options:
    """What of a run is not in its recipe.

    Attributes:
        steps, minutes: instead of the recipe's limits; giving one leaves out the other.
        resume: go on with the run in the folder.
        data: where caches of crops lie. crops: a folder of `reid.people.crops.write_crops` instead.
        measure: labelled folders that are measured on as well.
        workers: processes that render; None for one a core.
        render_only: make the crops and stop.
        stream: begin as soon as there are crops of some people, and take in others as they are rendered;
            with `workers` 0 another run renders them.
        states: weights that the run kept when it measured: finish with their mean instead of training.
    """

    steps: int | None = None
    minutes: float | None = None
    resume: bool = False
    data: Path | None = None
    crops: Path | None = None
    measure: tuple[Path, ...] = ()
    workers: int | None = None
    render_only: bool = False
    stream: bool = False
    states: tuple[Path, ...] = ()


def run(recipe: Recipe, out: Path, options: Options, watch: Watch) -> Exported | None:
    """Train by `recipe` in the folder `out`; None when only crops were wanted.

    Raises:
        InputError: no limit of time or steps, a run that is there already, folders that cannot be used.
        MissingExtraError, ModelError, DamagedError, StorageError: see the parts.
    """
    recipe = _limited(recipe, options)
    path = out / CHECKPOINT
    if path.exists() and not options.resume and not options.render_only and not options.states:
        raise InputError(f"{path}: there is a run; go on with --resume, or choose another --out")
    with storage_errors(out):
        for left in unfinished(out):
            left.unlink()
    size = recipe.schedule.size_at(1.0)
    named = [] if options.render_only else [labelled_folder(folder, size) for folder in options.measure]
    mean = _mean_of(options.states, recipe) if options.states else None
    caches = options.data or out / "data"
    held = open_crops(_rendered(recipe.validation, caches, options, watch))
    watch.say(f"{len(held):,} crops of {held.people:,} people held out")
    with ExitStack() as beside:
        crops: Crops
        if options.stream:
            crops = _stream(recipe, caches, options, watch, beside)
        else:
            crops = _crops(recipe.data, caches, options, watch)
        watch.say(f"{len(crops):,} crops of {_present(crops):,} people to begin with")
        if options.render_only:
            return None
        make_folder(out)
        sets, session = [held_out(held), *named], None
        if mean is not None:
            network, steps, minutes = mean
        else:
            wanted = _goals(recipe, crops, out, watch) if recipe.network.teachers else None
            session = _Session(Trainer(recipe, crops, wanted=wanted), crops, out, sets, watch)
            if options.resume:
                session.seconds, session.history = checkpoint.load(path, session.trainer)
            session.train()
            network = copy.deepcopy(session.trainer.averaged)
            steps, minutes = session.trainer.steps, session.seconds / 60
    if recipe.network.keep:
        blend(network, recipe.network.start, recipe.network.keep)
    fit_attributes(network, held, size)
    if not recipe.network.teachers:  # else the output was learned
        fit_reduction(network, crops, size)
    round_weights(network)
    figures = [measure(network, each, size) for each in sets]
    if session is not None:
        session.keep(figures)
        session.save()
    made = Made(
        crops=len(crops), people=_present(crops), cameras=len(np.unique(crops.labels.cameras)),
        steps=steps, minutes=minutes, machine=_machine(training_device()), figures=figures,
    )  # fmt: skip
    return export(out, recipe, network, made)


def _mean_of(states: Sequence[Path], recipe: Recipe) -> tuple[PeopleNet, int, float]:
    """The network with the mean of the weights of some states (Wortsman et al. 2022, "model soups"), and the
    steps and minutes until the last of them.

    Raises:
        InputError: a file is no state of a run, which lies beside its history.
    """
    network = BUILDERS[recipe.network.variant]().to(training_device()).eval().requires_grad_(False)
    total = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    steps, minutes = 0, 0.0
    for path in states:
        known = {f"averaged-{each['step']}": each for each in _history(path.parent)}
        if path.stem not in known or not path.is_file():
            raise InputError(f"{path}: expected a state that a run kept beside its {HISTORY}, averaged-STEP")
        start_from(network, str(path))
        for name, value in network.state_dict().items():
            total[name] += value / len(states) if value.is_floating_point() else 0
        steps = max(steps, known[path.stem]["step"])
        minutes = max(minutes, known[path.stem]["minutes"])
    network.load_state_dict(total)
    return network, steps, minutes


def _history(folder: Path) -> list[dict[str, Any]]:
    """What a run measured; nothing where there was none."""
    try:
        found: list[dict[str, Any]] = json.loads((folder / HISTORY).read_bytes())
    except (OSError, ValueError):
        return []
    return found


def _limited(recipe: Recipe, options: Options) -> Recipe:
    """The recipe with the limits asked for."""
    if options.steps is not None or options.minutes is not None:
        limits: dict[str, Any] = {"steps": options.steps or 0, "minutes": options.minutes or 0.0}
        recipe = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, **limits))
    if not recipe.schedule.steps and not recipe.schedule.minutes and not options.render_only:
        raise InputError(f"recipe {recipe.name}: no limit; give --minutes or --steps, or schedule.minutes")
    return recipe


def _present(crops: Crops) -> int:
    return len(np.unique(crops.labels.identities))


def _stream(recipe: Recipe, caches: Path, options: Options, watch: Watch, beside: ExitStack) -> Stream:
    """Crops of enough people for a few batches; what renders the others goes on until `beside` is closed."""
    data = recipe.data
    rendering = None
    if options.workers != 0:
        rendering = beside.enter_context(closing(Rendering(data, caches, options.workers)))
    stream = Stream(caches / data.digest, data, training_device())
    wanted = min(data.people, _AHEAD * recipe.batch.people)
    while (there := _present(stream)) < wanted and (rendering is None or rendering.running):
        watch.progress("rendering the first people", there, wanted)
        time.sleep(_LOOK_SECONDS)
        stream.grow()
    stream.grow()
    if rendering is not None:
        rendering.check()
    return stream


def _goals(recipe: Recipe, crops: Crops, out: Path, watch: Watch) -> NDArray[np.float16]:
    """What the teachers say of each crop; kept in the run's folder."""
    if isinstance(crops, Stream):
        raise InputError("network.teachers: expected crops that are all there; leave out --stream")
    path = out / GOALS
    if not path.is_file():
        teachers = load_teachers(recipe.network.teachers, training_device())
        found = goals(
            teachers, crops, recipe.schedule.size_at(1.0),
            lambda done, of: watch.progress("asking the teachers", done, of),
        )  # fmt: skip
        stream = BytesIO()
        np.save(stream, found, allow_pickle=False)
        write_file(path, stream.getvalue())
    kept: NDArray[np.float16] = np.load(path, allow_pickle=False)
    if len(kept) != len(crops):
        raise InputError(f"{path}: of {len(kept):,} crops, there are {len(crops):,}; give another --out")
    return kept


def _crops(data: Data, caches: Path, options: Options, watch: Watch) -> Crops:
    if options.crops is not None:
        return read_crops(options.crops, (data.height, data.width))
    return open_crops(_rendered(data, caches, options, watch))


def _rendered(data: Data, caches: Path, options: Options, watch: Watch) -> Path:
    return render(
        data, caches, options.workers or None, lambda done, of: watch.progress("rendering", done, of)
    )


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{len(os.sched_getaffinity(0))} CPU cores"


def share_done(schedule: Schedule, steps: int, seconds: float) -> float:
    """How much of a run is over, 0..1: by steps or by time, whichever is nearer its end."""
    by_steps = steps / schedule.steps if schedule.steps else 0.0
    by_time = seconds / 60 / schedule.minutes if schedule.minutes else 0.0
    return min(1.0, max(by_steps, by_time))


class _Session:
    """A trainer with its clock, its folder and its measurements."""

    def __init__(
        self, trainer: Trainer, crops: Crops, out: Path, sets: list[ValidationSet], watch: Watch
    ) -> None:
        self.trainer = trainer
        self._stream = crops if isinstance(crops, Stream) else None
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self._out, self._sets, self._watch = out, sets, watch
        self._mean: StepLosses | None = None

    def train(self) -> None:
        """Until the limit; saved now and then, at the end, and when interrupted."""
        schedule = self.trainer.recipe.schedule
        saved = measured = looked = self.seconds
        try:
            while (done := share_done(schedule, self.trainer.steps, self.seconds)) < 1:
                begin = time.monotonic()
                if self._stream and self.seconds - looked >= _LOOK_SECONDS:
                    if self._stream.grow():
                        self.trainer.look_again()
                    looked = self.seconds
                self._note(self.trainer.step(done))
                self.seconds += time.monotonic() - begin
                self._watch.progress(self._title(), int(done * _TICKS), _TICKS)
                if self.seconds - measured >= schedule.validate_minutes * 60:
                    self.measure()
                    measured = self.seconds
                if self.seconds - saved >= schedule.save_minutes * 60:
                    self.save()
                    saved = self.seconds
        finally:
            self.save()

    def measure(self) -> None:
        """Measure the averaged weights on every set."""
        size = self.trainer.recipe.schedule.size_at(1.0)
        self.keep([measure(self.trainer.averaged, each, size) for each in self._sets])

    def keep(self, figures: list[dict[str, Any]]) -> None:
        """Keep what was measured, and the averaged weights of now, so that the best can be chosen later."""
        self.history.append(
            {
                "step": self.trainer.steps,
                "minutes": round(self.seconds / 60, 2),
                "losses": dataclasses.asdict(self._mean) if self._mean else None,
                "figures": figures,
            }
        )
        write_tensors(
            self._out / f"averaged-{self.trainer.steps}.safetensors", tensors_of(self.trainer.averaged)
        )
        write_file(self._out / HISTORY, json.dumps(self.history, indent=1).encode())
        for each in figures:
            self._watch.say(f"{self._title()}: {_line(each)}")

    def save(self) -> None:
        """Write the state, so that the run can be resumed from here."""
        checkpoint.save(self._out / CHECKPOINT, self.trainer, self.seconds, self.history)

    def _note(self, losses: StepLosses) -> None:
        old = self._mean or losses
        pairs = zip(dataclasses.astuple(old), dataclasses.astuple(losses), strict=True)
        self._mean = StepLosses(*(_SMOOTH * before + (1 - _SMOOTH) * now for before, now in pairs))

    def _title(self) -> str:
        batch, mean = self.trainer.recipe.batch, self._mean
        pace = self.trainer.steps * batch.people * batch.crops / max(self.seconds, 1e-9)
        losses = "".join(f" {each:.3f}" for each in dataclasses.astuple(mean)) if mean else ""
        return f"step {self.trainer.steps:,}, {self.seconds / 60:.1f} min, {pace:.0f} crops/s, losses{losses}"


def _line(figures: dict[str, Any]) -> str:
    means = figures["camera_means"]
    told = figures.get("attributes")
    attributes = f", attributes {np.mean(list(told.values())):.2f}" if told else ""
    return (
        f"{figures['set']} rank-1 {figures['rank1']:.3f} mAP {figures['mAP']:.3f}"
        f" ({means['rank1']:.3f} {means['mAP']:.3f}){attributes}"
    )
