"""The operations: train, sample, evaluate. A run folder goes in or comes out; the saved weights come before the evaluation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from bottega.core.errors import InvalidValue, NotFound
from bottega.core.value import Value
from bottega.evaluation.table import Table
from bottega.training import checkpoint
from bottega.training.card import Report, card
from bottega.training.data import base
from bottega.training.estimate import Estimate, estimate, peak
from bottega.training.family import Family, Made, Nets, Wish, family_for, family_of
from bottega.training.folder import Config, DataFacts, RunFolder
from bottega.training.loop import Progress, build_nets, fit
from bottega.training.page import page
from bottega.training.processes import sharing
from bottega.training.recipe import Recipe


def _no_estimate(_: Estimate) -> None: ...


def _no_progress(_: Progress) -> None: ...


def _no_words(_: str) -> None: ...


class Watch(NamedTuple):
    """Who is told what, while a run goes on."""

    says: Callable[[str], None] = _no_words
    stated: Callable[[Estimate], None] = _no_estimate
    moves: Callable[[Progress], None] = _no_progress


class Run(NamedTuple):
    """A trained run, ready to use."""

    folder: RunFolder
    config: Config
    family: Family[Value]
    nets: Nets


def train(
    recipe: Recipe,
    out: Path,
    home: Path,
    command: str = "",
    *,
    resume: bool = False,
    threads: int = 1,
    processes: int = 1,
    evaluates: bool = True,
    watch: Watch = Watch(),  # noqa: B008 - a tuple of functions that do nothing
) -> Report:
    """Train a recipe into a folder: config, weights, metrics, samples, report and card.

    Args:
        recipe: what to train.
        out: the run folder; new, or with ``resume`` one that was begun with the same recipe.
        home: where data sets and judges are kept.
        command: that of `bottega` which asked for it, without ``--out``, for the card.
        resume: go on from the last checkpoint.
        threads: of torch; another number may give other bytes.
        processes: that share the shards of every batch; any number ends in the same bytes.
        evaluates: write the table as well.
        watch: who is told.

    Raises:
        InvalidValue: wrong data or recipe, or ``out`` holds something else.
        EngineFailed: it diverged; the last good checkpoint stays.
        StorageFailed: the disk is full; the last checkpoint stays.
    """
    torch.set_num_threads(threads)
    data = base.load(recipe.data, home, watch.says)
    family = family_for(recipe, data)
    folder = RunFolder(out)
    facts = DataFacts(
        name=data.name,
        licence=data.licence,
        attribution=data.attribution,
        sha256=data.sha256,
        sizes=data.sizes,
        shape=family.shape,
        labels=family.labels,
    )
    config = Config(recipe=recipe, data=facts, codec=family.codec, threads=threads, torch=torch.__version__)
    config = folder.begin(config, resume=resume)
    stated = estimate(family, data, recipe.fit, recipe.fit.steps)
    watch.stated(stated)

    def moves(progress: Progress) -> None:
        folder.write("live.html", page(recipe.id, folder.metrics(), progress.steps).encode())
        watch.moves(progress)

    with sharing(folder, home, processes, threads) as share:
        fitted = fit(family, data, recipe.fit, recipe.seed, folder, moves, share)
    nets = fitted.nets
    checkpoint.write(folder.weights_file, checkpoint.flat(nets, "net"))
    family.leave(nets, out)
    report = Report(
        command=command,
        estimate=stated,
        ended=fitted.ended,
        step=fitted.step,
        cpu_seconds=fitted.cpu_seconds,
        peak_memory=peak(),
    )
    _write_report(folder, config, report)
    watch.says("drawing samples")
    for made in family.show(nets):
        folder.write(f"samples/{made.name}", made.data)
    if evaluates:
        watch.says("evaluating")
        report = _evaluate(Run(folder, config, family, nets), report, data, home)
    return report


def open_run(path: Path) -> Run:
    """A run folder with its shipped weights.

    Raises:
        NotFound: no run folder, or not trained to an end.
        InvalidValue: of another version, or damaged.
    """
    folder = RunFolder(path)
    config = folder.config()
    data = config.data
    family = family_of(config.recipe, data.shape, data.labels, config.codec)
    if not folder.weights_file.is_file():
        raise NotFound(
            "no trained weights yet", where=str(path), remedy="bottega train RECIPE --out DIR --resume"
        )
    nets = build_nets(family, 0)
    state = checkpoint.read(folder.weights_file)
    checkpoint.load_nets(nets, state, "net", str(folder.weights_file))
    for net in nets.values():
        net.eval()
    return Run(folder, config, family, nets)


def sample(run: Run, wish: Wish) -> list[Made]:
    """Make files with a run; same wish, same bytes on the same machine."""
    with torch.no_grad():
        return run.family.sample(run.nets, wish)


def evaluate(path: Path, home: Path) -> Report:
    """Measure a run again, and write its card anew.

    Raises:
        InvalidValue: the data is no longer what it was trained on.
    """
    run = open_run(path)
    data = base.load(run.config.recipe.data, home)
    if data.sha256 != run.config.data.sha256:
        raise InvalidValue(
            "the data is not what the run was trained on",
            where=run.config.recipe.data,
            remedy="bring the old data back, or train again",
        )
    return _evaluate(run, _report(run.folder), data, home)


def _report(folder: RunFolder) -> Report:
    return Report.model_validate_json((folder.path / "report.json").read_bytes())


def _evaluate(run: Run, report: Report, data: base.Data, home: Path) -> Report:
    with torch.no_grad():
        table: Table = run.family.evaluate(run.nets, data, run.config.recipe.seed, home)
    report = report.model_copy(update={"table": table})
    _write_report(run.folder, run.config, report)
    return report


def _write_report(folder: RunFolder, config: Config, report: Report) -> None:
    folder.write("report.json", json.dumps(report.document(), indent=2).encode() + b"\n")
    folder.write("README.md", card(config, report, folder.weights_file.read_bytes()).encode())
