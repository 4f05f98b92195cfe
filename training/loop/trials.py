"""The trials of a sweep, run by Ray Tune: each is a run of training/train.py in a worker, with a folder of its own.

In: trials with their command lines. Out: figures.jsonl in each folder, a line for every validation. Trials that were
stopped go on from their last checkpoint, finished ones are not run again. Knows no grid and no terminal.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from livemove.contracts import LivemoveError
from training.data import cluster

FIGURES = "figures.jsonl"
RAN_TO_ITS_END = "finished"
"""An empty file in the folder of a trial whose training returned. Tune's own word for it comes with a trial's last
report, and is lost where the driver is too busy to read that before the worker is gone."""
BOOKKEEPING = "ray"
"""Folder of Ray Tune's own files, beside the trials."""


@dataclass(frozen=True)
class Trial:
    """One run. flags: what makes it another than the others, by name; argv: all it is called with; folder: its OUT."""

    number: int
    flags: Mapping[str, str]
    argv: tuple[str, ...]
    folder: str


@dataclass(frozen=True)
class Outcome:
    """What became of a trial. curve: (step, val_loss) by validation; trouble: why it ended early; finished: it did."""

    trial: Trial
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    finished: bool = False
    trouble: str = ""

    @property
    def best(self) -> tuple[int, float] | None:
        """(step, val_loss) of its lowest validation loss that is a number."""
        finite = [point for point in self.curve if math.isfinite(point[1])]
        return min(finite, key=lambda point: point[1]) if finite else None


@dataclass(frozen=True)
class Share:
    """What a trial takes of the machine or the cluster, and how many run at once."""

    at_once: int = 1
    cpus: float = 1.0
    gpus: float = 0.0


def run(trials: Sequence[Trial], root: Path, share: Share, resume: bool) -> list[Outcome]:
    """Run them all, or those that are left. Ctrl-C ends it: what is not finished says so. Raises ClusterError."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # figures.jsonl and the trials' own logs say it all
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one prints however quiet it is asked to be
    with cluster.connected(math.ceil(share.at_once * max(share.cpus, 1))):
        from ray import tune

        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        work = tune.with_resources(_work, {"cpu": share.cpus, "gpu": share.gpus})
        where = root.absolute()
        if resume and tune.Tuner.can_restore(str(where / BOOKKEEPING)):
            tuner = tune.Tuner.restore(str(where / BOOKKEEPING), work, restart_errored=True)
        else:
            tuner = tune.Tuner(
                work,
                param_space={"trial": tune.grid_search([asdict(trial) for trial in trials]), "cwd": os.getcwd()},
                tune_config=tune.TuneConfig(
                    max_concurrent_trials=share.at_once, trial_dirname_creator=lambda trial: trial.trial_id
                ),
                run_config=tune.RunConfig(name=BOOKKEEPING, storage_path=str(where), verbose=0),
            )
        results = tuner.fit()
        by_number = {result.config["trial"]["number"]: result for result in results if result.config}
    return [_outcome(trial, by_number.get(trial.number)) for trial in trials]


def figures(folder: Path) -> list[dict[str, float]]:
    """The lines of a trial so far, one for each validated step, in order; half a line at the end does not count."""
    lines: dict[float, dict[str, float]] = {}
    path = folder / FIGURES
    for line in path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []:
        point = json.loads(line)
        lines[point["step"]] = point
    return [lines[step] for step in sorted(lines)]


def _outcome(trial: Trial, result: Any) -> Outcome:
    """result: Ray Tune's, None if the trial never began."""
    points = figures(Path(trial.folder))
    curve = tuple((int(point["step"]), point["val_loss"]) for point in points)
    seconds = sum(point["seconds"] for point in points)
    error = result.error if result is not None else None
    trouble = _last_line(str(error)) if error is not None else ""
    finished = error is None and (Path(trial.folder) / RAN_TO_ITS_END).exists()
    return Outcome(trial, curve, seconds, finished, trouble)


def _last_line(text: str) -> str:
    """Of an error that comes with its traceback from a worker: what it says, without its class's name."""
    line = text.strip().splitlines()[-1]
    head, _, said = line.partition(": ")
    return said if said and " " not in head else line


def _work(config: dict[str, Any]) -> None:
    """In a worker of Ray: one trial, from its last checkpoint on if it has one."""
    import pytorch_lightning as pl
    from ray import tune

    from training import train
    from training.loop import recipe

    os.chdir(config["cwd"])
    trial = config["trial"]
    folder = Path(trial["folder"])

    class Report(pl.Callback):
        """Every validation goes to the sweep and into the trial's folder."""

        began_s = time.monotonic()

        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.sanity_checking or not trainer.is_global_zero:
                return
            now_s = time.monotonic()
            point = {
                "step": trainer.global_step,
                "steps": trainer.max_steps,
                "val_loss": float(trainer.callback_metrics["val_loss"]),
                "seconds": now_s - self.began_s,
            }
            self.began_s = now_s
            with (folder / FIGURES).open("a", encoding="utf-8") as file:
                file.write(json.dumps(point) + "\n")
            tune.report(point)

    try:
        args = recipe.read_arguments([*trial["argv"], "--out", trial["folder"], "--auto_resume"], "")
    except SystemExit as end:  # checked before; other versions on other machines read it differently
        raise LivemoveError(f"this worker's livemove does not take {' '.join(trial['argv'])}") from end
    train.run(args, [Report()])
    (folder / RAN_TO_ITS_END).touch()
