"""What networks say, are worth and learn: `reid models`, `describe`, `eval` and `train`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reid.errors import InputError
from search.commands.opening import archive_at, read_settings
from search.commands.options import Home, Json, Model, Person, Region, parse_box
from search.commands.printing import cell, plain_console, print_json, print_table, progress_bar, say
from search.commands.running import command

if TYPE_CHECKING:
    from reid.calibration import Calibration
    from reid.evaluation import Evaluation
    from reid.labelled import Skipped
    from reid.training.session import Watch

models_app = typer.Typer(no_args_is_help=True, help="The models this archive can use.")


@models_app.command("list")
@command
def models_list(home: Home = None, as_json: Json = False) -> None:
    """List the models: built in, and added to this archive."""
    from dataclasses import asdict

    from reid.models import known_models
    from reid.runtimes.choice import kept_choice
    from reid.weights import is_present

    archive = archive_at(home)
    settings, _ = read_settings(archive)
    specs = known_models(archive.models)
    used = {settings.detector, settings.embedder}
    used |= {spec.describer for spec in specs if spec.name == settings.embedder}
    chosen = {spec.name: kept_choice(spec) if spec.backend == "torch" else None for spec in specs}
    rows = [
        {
            "name": spec.name, "task": spec.task, "backend": spec.backend, "dimension": spec.dimension,
            "licence": spec.licence, "training_data": spec.training_data, "origin": spec.origin,
            "sha256": spec.sha256, "present": is_present(spec, archive.models),
            "in_use": spec.name in used,
            "runtime": settings.runtime if spec.backend == "torch" else spec.backend,
            "chosen": asdict(choice) if (choice := chosen[spec.name]) is not None else None,
        }
        for spec in specs
    ]  # fmt: skip
    if as_json:
        print_json({"models": rows})
        return
    shown = ["name", "task", "backend", "licence", "training_data", "in_use", "present"]
    print_table(
        [name.replace("_", " ") for name in shown], [[cell(row[name]) for name in shown] for row in rows]
    )


@models_app.command("add")
@command
def models_add(
    files: Annotated[list[Path], typer.Argument(help="Weights: .onnx, .xml and .bin, .pth or .safetensors.")],
    architecture: Annotated[
        str | None, typer.Option("--as", help="Architecture of a torchreid checkpoint, e.g. osnet_ain_x1_0.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Copy model files into the archive; known ones are recognised by their sha256."""
    from reid.adding import add_model

    archive = archive_at(home)
    added = [add_model(file, archive.models, architecture) for file in files]
    if as_json:
        print_json({"added": [{"name": spec.name, "sha256": spec.sha256} for spec in added]})
        return
    for spec in dict.fromkeys(added):
        setting = "detector" if spec.task == "detect" else "embedder"
        say(f'added {spec.name}; use it with this line in reid.toml: {setting} = "{spec.name}"')


@command
def describe(
    photo: Annotated[Path, typer.Argument(help="A photo or crop of the person.")],
    model: Model = None,
    person: Person = None,
    box: Region = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what a picture shows of a person: colours, clothes, things carried, age group."""
    from dataclasses import asdict

    import numpy as np

    from reid.description import describe as described
    from reid.description import words
    from reid.detector import load_detector
    from reid.embedder import load_embedder
    from reid.images import crop
    from search.query import read_query

    archive = archive_at(home)
    settings, _ = read_settings(archive)
    embedder = load_embedder(model or settings.embedder, archive.models, settings.runtime)
    detector = load_detector(settings.detector, archive.models, runtime=settings.runtime)
    query = read_query(photo, detector, embedder, person, parse_box(box) if box is not None else None)
    shown = crop(query.picture, np.array(query.person_box, np.float32))
    logits = embedder.attributes([shown])
    if logits is None:
        raise InputError(
            f"model {embedder.spec.name} describes nobody; choose one that does with --model"
            " (reid models list)"
        )
    statements = described(logits[0], shown)
    for warning in query.warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json({
            "model": embedder.spec.describer or embedder.spec.name, "photo": query.photo,
            "person_box": query.person_box, "warnings": query.warnings,
            "statements": [asdict(each) for each in statements],
        })  # fmt: skip
        return
    print_table(["", "", "shown", "", "confidence"], [words(each) for each in statements])


@command
def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="Holds manifest.csv (file,person_id,camera_id[,condition]) and pictures.")
    ],
    model: Model = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit probabilities on these pictures and keep them in --home.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Measure how well an embedder finds people again in another camera, on pictures you labelled."""
    from reid.calibration import calibrate as fitted
    from reid.embedder import load_embedder
    from reid.evaluation import evaluate as measured
    from reid.labelled import embed_folder, read_folder

    archive = archive_at(home)
    labelled = read_folder(folder)
    settings, _ = read_settings(archive)
    embedder = load_embedder(model or settings.embedder, archive.models, settings.runtime)
    with progress_bar("embedding") as progress:
        vectors, skipped = embed_folder(labelled, embedder, progress)
    evaluation, spec = measured(vectors), embedder.spec
    calibration = fitted(vectors, spec.sha256) if calibrate else None
    if calibration:
        calibration.save(archive.calibration(spec.sha256))
    if as_json:
        told: dict[str, Any] = {"skipped": [vars(skip) for skip in skipped]}
        if calibration:
            told["calibration"] = calibration.to_json()
        print_json({"model": spec.name, "sha256": spec.sha256, **evaluation.to_json(), **told})
    else:
        _print_evaluation(spec.name, evaluation, skipped)
        if calibration:
            _print_calibration(calibration, archive.calibration(spec.sha256))
    return 1 if any(skip.reason != "duplicate" for skip in skipped) else 0


def _print_evaluation(name: str, evaluation: Evaluation, skipped: Sequence[Skipped]) -> None:
    from reid.evaluation_text import (
        FIGURES_HEADER,
        SCORES_HEADER,
        closing_lines,
        figures_rows,
        scores_rows,
    )

    print_table([name, *FIGURES_HEADER[1:]], figures_rows(evaluation))
    print_table(SCORES_HEADER, scores_rows(evaluation.plain.histogram))
    for line in closing_lines(evaluation, skipped):
        plain_console().print(line)


def _print_calibration(calibration: Calibration, path: Path) -> None:
    from reid.evaluation_text import RELIABILITY_HEADER, reliability_rows

    print_table(RELIABILITY_HEADER, reliability_rows(calibration))
    told = "-" if calibration.error is None else f"{calibration.error:.4f}"
    plain_console().print(
        f"fitted on {calibration.people:,} people; on the half not fitted on, probabilities above .001 were"
        f" off by {told} on average; kept in {path}"
    )


@command
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe: cpu, describe, distil, gpu, refine, tiny, or a .toml file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of this run: state, history, weights, model card.")],
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train this long. [default: recipe]")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Train so many steps. [default: recipe]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    data: Annotated[Path | None, typer.Option(help="Where rendered crops lie. [default: OUT/data]")] = None,
    crops: Annotated[
        Path | None, typer.Option(help="Learn from this folder of synthetic crops instead of rendering.")
    ] = None,
    measure: Annotated[
        list[Path] | None, typer.Option(help="Labelled folder to measure on, as of `reid eval`; repeats.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Processes that render; 0 beside another run that does. [default: one a core]"
        ),
    ] = None,
    render_only: Annotated[bool, typer.Option("--render-only", help="Render the crops and stop.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Begin while crops are still being rendered; for a GPU.")
    ] = False,
    states: Annotated[
        list[Path] | None,
        typer.Option(help="Finish with the mean of these OUT/averaged-*.safetensors, not training; repeats."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train an embedder on synthetic people (extra `synthetic`). Safe to stop; --resume goes on."""
    from reid.training.recipe import load_recipe

    loaded = load_recipe(recipe)
    from reid.training.session import Options, run

    options = Options(
        steps, minutes, resume, data, crops, tuple(measure or ()), workers, render_only, stream,
        tuple(states or ()),
    )  # fmt: skip
    with _shown_training() as watch:
        made = run(loaded, out, options, watch)
    if as_json:
        print_json({"recipe": loaded.name, **(made.to_json() if made else {"weights": None})})
    elif made:
        typer.echo(f"{made.weights}\nsha256 {made.sha256}\nmodel card {made.card}")


@contextmanager
def _shown_training() -> Iterator[Watch]:
    """A bar on stderr where that is a terminal; lines on stderr in any case."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)

        class Shown:
            def progress(self, what: str, done: int, of: int) -> None:
                bar.update(task, description=what, completed=done, total=of)

            def say(self, line: str) -> None:
                console.print(line, soft_wrap=True)

        yield Shown()
