"""Try flags against each other: `python training/sweep.py --config NAME --grid lr=1e-3,3e-4 --grid seed=1,2`.

In: an experiment, and values to try of some of its flags. Out: a folder per combination as train.py makes it, a table
of their validation losses, the best one as an experiment to run again, a plot. How trials run is trials.py's business.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from livemove.cli.number_types import Number, Whole

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.contracts import LivemoveError
from training.data import command_line
from training.loop import recipe
from training.loop.flags import make_parser
from training.loop.trials import Outcome, Share, Trial, figures, run

PLAN = "sweep.yaml"
"""In a sweep's folder: every trial's flags and command line, so that it is resumed as it was begun."""

LOOK_S = 0.5
NOT_TO_TRY = ("config", "out", "resume", "auto_resume", "name")


class SweepError(LivemoveError):
    """A sweep that cannot be run as asked; the message names the flag or the folder."""


# --- what to try --------------------------------------------------------------------------------------------


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """["lr=1e-3,3e-4", ...] as {"lr": ["1e-3", "3e-4"]}. Raises SweepError."""
    grid: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        tried = [value.strip() for value in values.split(",")]
        if not equals or not name.strip() or not all(tried):
            raise SweepError(f"--grid {text}: write FLAG=VALUE,VALUE,..., as in lr=1e-3,3e-4")
        grid[name.strip().lstrip("-")] = tried
    return grid


def section_grid(document: Mapping[str, Any], path: Path) -> dict[str, list[str]]:
    """The same from an experiment's section `sweep:`, {} where there is none. Raises SweepError."""
    section = document.get(recipe.SWEEP, {})
    if not isinstance(section, dict) or not all(isinstance(v, list) and v for v in section.values()):
        raise SweepError(f"{path}: {recipe.SWEEP}: expected lines of 'flag: [value, value, ...]'")
    return {str(name): [_as_text(value) for value in values] for name, values in section.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def canonical(grid: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """With train.py's own name of every flag, each value once. Raises SweepError."""
    parser, result = make_parser(""), dict[str, list[str]]()
    for name, values in grid.items():
        try:
            flag = recipe.flag_of(name, parser).dest
        except recipe.RecipeError as error:
            raise SweepError(f"--grid {name}: {error}") from error
        if flag in NOT_TO_TRY:
            raise SweepError(f"--grid {name}: a sweep sets that by itself")
        result[flag] = list(dict.fromkeys(values))
    return result


def combinations(grid: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every value of every flag with every other."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def as_values(flags: Mapping[str, str]) -> dict[str, Any]:
    """Flags as an experiment's YAML has them: several values between spaces are a list, true and false are such."""
    said: dict[str, Any] = {}
    for name, text in flags.items():
        words: list[Any] = [{"true": True, "false": False}.get(word, word) for word in text.split()]
        said[name] = words[0] if len(words) == 1 else words
    return said


def title(flags: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value.replace(' ', ',')}" for name, value in flags.items())


def folder_name(number: int, flags: Mapping[str, str]) -> str:
    """007_learning_rate=0.001_skip_channels=64: fit for every file system."""
    said = "_".join(f"{name}={value}" for name, value in flags.items())
    return f"{number:03d}_" + "".join(c if c.isalnum() or c in "=._-" else "-" for c in said)[:100]


def plan(base: Sequence[str], grid: Mapping[str, Sequence[str]], root: Path) -> list[Trial]:
    """The trials of a grid in the folder root, each checked. Raises LivemoveError; a wrong flag ends as in train.py."""
    parser, trials = make_parser(""), list[Trial]()
    for number, flags in enumerate(combinations(grid)):
        argv = (*base, *recipe.as_flags(as_values(flags), parser))
        recipe.read_arguments([*argv], "")
        trials.append(Trial(number, flags, argv, str((root / folder_name(number, flags)).absolute())))
    return trials


def with_data(trial: Trial) -> Trial:
    """A raw folder is prepared here, once for all trials that train on it. Raises LivemoveError."""
    args = recipe.read_arguments(trial.argv, "")
    if args.dataset is None or (args.dataset / "corpus.json").exists():
        return trial
    from training.train import prepared

    return Trial(trial.number, trial.flags, (*trial.argv, "--dataset", str(prepared(args))), trial.folder)


# --- what came of it ----------------------------------------------------------------------------------------


def ranking(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The lowest validation loss first; then those that never had one, in their order."""
    return sorted(outcomes, key=lambda outcome: outcome.best[1] if outcome.best else math.inf)


def best_of(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Lowest validation loss of those that ran to their end; None if none did."""
    whole = [outcome for outcome in ranking(outcomes) if outcome.finished and outcome.best]
    return whole[0] if whole else None


def best_experiment(best: Outcome) -> dict[str, Any]:
    """The run of a trial as an experiment for `train.py --config`, with a folder of its own."""
    return {k: v for k, v in recipe.as_experiment(recipe.read_arguments(best.trial.argv, "")).items() if k != "out"}


def write_best(best: Outcome, path: Path) -> None:
    loss = best.best[1] if best.best else math.nan
    said = f"# Best of the sweep in {path.parent.name}: {title(best.trial.flags)}, val_loss {loss:.4f}\n"
    path.write_text(said + yaml.safe_dump(best_experiment(best), sort_keys=False), encoding="utf-8")


def state(outcome: Outcome) -> str:
    if outcome.finished:
        return "" if outcome.best else "no loss was a number"
    return outcome.trouble or "not finished"


def print_table(outcomes: Sequence[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    names = list(outcomes[0].trial.flags)
    for name in names:
        table.add_column(name)
    for name in ("val_loss", "at step", "s"):
        table.add_column(name, justify="right")
    table.add_column("")
    for outcome in ranking(outcomes):
        step, loss = outcome.best or (0, math.nan)
        figure = [f"{loss:.4f}", str(step), f"{outcome.seconds:.0f}"] if outcome.best else ["-", "-", "-"]
        table.add_row(*(outcome.trial.flags[name] for name in names), *figure, state(outcome))
    Console().print(table)


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """val_loss over steps for every trial, and for every flag its values against the loss they led to."""
    from matplotlib.figure import Figure

    names = list(outcomes[0].trial.flags)
    figure = Figure(figsize=(5 + 3.5 * len(names), 4), layout="constrained")
    curves, *panels = figure.subplots(1, 1 + len(names), squeeze=False)[0]
    shown = [outcome for outcome in ranking(outcomes) if outcome.best]
    for outcome in shown:
        steps, losses = zip(*outcome.curve, strict=True)
        curves.plot(steps, losses, ".-", label=title(outcome.trial.flags))
    curves.set(xlabel="step", ylabel="val_loss")
    if shown:  # a trial that went astray must not flatten the others
        lowest = [outcome.best[1] for outcome in shown if outcome.best]
        highest = max(*lowest, *(loss for _, loss in shown[0].curve))
        curves.set_ylim(
            min(lowest) - 0.05 * (highest - min(lowest) + 1e-6), highest + 0.05 * (highest - min(lowest) + 1e-6)
        )
    if 0 < len(shown) <= 12:
        curves.legend(fontsize=6)
    for panel, name in zip(panels, names, strict=True):
        values = list(dict.fromkeys(outcome.trial.flags[name] for outcome in outcomes))
        points = [(values.index(o.trial.flags[name]), o.best[1]) for o in shown if o.best]
        panel.plot([x for x, _ in points], [y for _, y in points], "o", alpha=0.7)
        panel.set_xticks(range(len(values)), values)
        panel.set(xlabel=name, ylabel="lowest val_loss")
        panel.margins(x=0.2)
    figure.savefig(path, dpi=100)


# --- the command --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watching(trials: Sequence[Trial]) -> Generator[None]:
    """Progress from what the trials write, while they run: how many steps of all are done, and the newest figure."""
    with command_line.progress("steps", 0) as say:
        ended = threading.Event()

        def look() -> None:
            before: dict[int, int] = {}
            newest = ""
            while not ended.wait(LOOK_S):
                so_far = {trial.number: figures(Path(trial.folder)) for trial in trials}
                for trial in trials:
                    if len(so_far[trial.number]) > before.get(trial.number, 0):
                        before[trial.number] = len(so_far[trial.number])
                        newest = f"{title(trial.flags)}  val_loss {so_far[trial.number][-1]['val_loss']:.4f}"
                last = [points[-1] for points in so_far.values() if points]
                if last:
                    known = sum(point["steps"] for point in last) / len(last) * len(trials)
                    say(int(sum(point["step"] for point in last)), newest, round(known))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()


def kept_plan(trials: Sequence[Trial], root: Path, resume: bool) -> list[Trial]:
    """The plan as the sweep's folder has it: written now, or when the sweep began. Raises SweepError."""
    path = root / PLAN
    if not path.exists():
        if resume:
            raise SweepError(f"--resume: no sweep was begun in {root}")
        planned = [with_data(trial) for trial in trials]
        for trial in planned:
            Path(trial.folder).mkdir(parents=True, exist_ok=True)
        rows = [{"flags": dict(trial.flags), "argv": list(trial.argv)} for trial in planned]
        path.write_text(yaml.safe_dump(rows, sort_keys=False), encoding="utf-8")
        return planned
    if not resume:
        raise SweepError(f"{root}: holds a sweep; go on with it by --resume, or give another --out")
    rows = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    if [row["flags"] for row in rows] != [dict(trial.flags) for trial in trials] or any(
        tuple(row["argv"][: len(trial.argv)]) != trial.argv for row, trial in zip(rows, trials, strict=True)
    ):
        raise SweepError(f"--resume: the sweep in {root} was begun with other flags; repeat those ({path})")
    return [
        Trial(trial.number, trial.flags, tuple(row["argv"]), trial.folder)
        for row, trial in zip(rows, trials, strict=True)
    ]


EXAMPLES = """
\b
python training/sweep.py --config 01_dance --grid lr=1e-3,3e-4 --grid residual_channels=32,64 --n_epochs 5
python training/sweep.py --config mine.yaml --trials-at-once 4 --gpus-per-trial 0.5      # mine.yaml says what to try:
                                                                 # sweep: {learning_rate: [0.001, 0.0003]}
"""


@click.command(
    cls=command_line.Command,
    context_settings={
        "help_option_names": ["-h", "--help"], "max_content_width": 110, "ignore_unknown_options": True,
    },
    epilog=EXAMPLES,
)  # fmt: skip
@click.option("--config", type=click.Path(path_type=Path), help="Experiment to start from, as for train.py.")
@click.option(
    "--grid",
    "texts",
    multiple=True,
    metavar="FLAG=VALUES",
    help="Values to try of a flag of train.py, with commas between; more than one --grid: every combination. Counts "
    "more than the experiment's section `sweep`.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sweep; runs/sweep_NAME if not given.")
@click.option("--trials-at-once", type=Whole(1), default=1, show_default=True, help="Side by side.")
@click.option(
    "--cpus-per-trial",
    type=Number(0, above=True),
    help="CPU cores of each; all cores of this machine by --trials-at-once if not given.",
)
@click.option("--gpus-per-trial", type=Number(0), default=0, show_default=True, help="GPUs of each; 0.5 shares one.")
@click.option(
    "--resume", is_flag=True, help="Go on with the sweep in --out; finished trials are kept, failed ones tried again."
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def main(
    config: Path | None, texts: tuple[str, ...], out: Path | None, trials_at_once: int, cpus_per_trial: float | None,
    gpus_per_trial: float, resume: bool, flags: tuple[str, ...],
) -> None:  # fmt: skip
    """Train every combination of some flags' values, and say which does best on what is held out.

    All other FLAGS go to training/train.py as they are. Trials run on Ray: on the cluster RAY_ADDRESS names (its nodes
    see the same paths), else here. Stop it as you like: --resume goes on where it was. At the end: a table, and in
    --out NAME_best.yaml for train.py --config, and sweep.png.

    Exit code 0: every trial ran to its end; 1: some failed; 2: a line says what is wrong.
    """
    base, grid, name = list(flags), parse_grid(texts), "sweep"
    if config is not None:
        path = recipe.find_experiment(config)
        grid = {**canonical(section_grid(recipe.read_experiment(path), path)), **canonical(grid)}
        base, name = ["--config", str(path.absolute()), *base], path.stem
    grid = canonical(grid)
    if not grid:
        raise SweepError("nothing to try: give --grid FLAG=VALUE,VALUE, or an experiment with a section `sweep`")
    root = out or Path("runs") / f"sweep_{name}"
    trials = kept_plan(plan(base, grid, root), root, resume)
    cores = cpus_per_trial or max((os.cpu_count() or 1) // trials_at_once, 1)
    click.echo(f"{len(trials)} trials, {trials_at_once} at once -> {root}", err=True)
    with watching(trials):
        outcomes = run(trials, root, Share(trials_at_once, cores, gpus_per_trial), resume)
    report(outcomes, root, name)
    unfinished = [outcome for outcome in outcomes if not outcome.finished]
    if any(not outcome.trouble for outcome in unfinished):
        click.echo("stopped; what is done is kept, the same command with --resume goes on from there", err=True)
        sys.exit(130)
    sys.exit(1 if unfinished else 0)


def report(outcomes: Sequence[Outcome], root: Path, name: str) -> None:
    """The table on the terminal; the best experiment and the plot in the sweep's folder."""
    print_table(outcomes)
    draw(outcomes, root / "sweep.png")
    best = best_of(outcomes)
    if best is None:
        click.echo(f"no trial ran to its end; drawn: {root / 'sweep.png'}")
        return
    path = root / f"{name}_best.yaml"
    write_best(best, path)
    click.echo(
        f"best: {title(best.trial.flags)}; python training/train.py --config {path}; drawn: {root / 'sweep.png'}"
    )


if __name__ == "__main__":
    main()
