"""A sweep: what is tried, what is best, and that Ray Tune runs it, ends it and takes it up again."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.support.dances import write_dances
from training import sweep
from training.data import cluster
from training.loop import recipe, trials
from training.loop.flags import make_parser
from training.loop.trials import Outcome, Trial


def outcome(number: int, losses: list[float], finished: bool = True, trouble: str = "", **flags: str) -> Outcome:
    trial = Trial(number, flags, tuple(recipe.as_flags(sweep.as_values(flags), make_parser(""))), "nowhere")
    curve = tuple((10 * (i + 1), loss) for i, loss in enumerate(losses))
    return Outcome(trial, curve, 5.0, finished, trouble)


def test_a_grid_is_every_value_with_every_other_under_the_flags_own_names() -> None:
    grid = sweep.canonical(sweep.parse_grid(["lr=1e-3, 3e-4", "use_video=true,false", "betas=0.9 0.98"]))
    assert grid == {"learning_rate": ["1e-3", "3e-4"], "use_video": ["true", "false"], "betas": ["0.9 0.98"]}
    tried = sweep.combinations(grid)
    assert len(tried) == 4
    planned = sweep.plan(["--steps", "5"], grid, Path("runs/x"))
    args = recipe.read_arguments(planned[3].argv, "")
    assert (args.learning_rate, args.use_video, args.betas, args.steps) == (3e-4, False, [0.9, 0.98], 5)
    assert len({trial.folder for trial in planned}) == 4


def test_an_experiment_may_say_what_to_try_and_trains_without_it_as_well(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("instrument: theremin\nsweep: {learning_rate: [0.001, 3e-4], betas: [[0.9, 0.98]], mirror: [0]}\n")
    grid = sweep.section_grid(recipe.read_experiment(path), path)
    assert grid == {"learning_rate": ["0.001", "3e-4"], "betas": ["0.9 0.98"], "mirror": ["0"]}
    assert recipe.read_arguments(["--config", str(path)], "").instrument == "theremin"


@pytest.mark.parametrize(
    ("argv", "named"),
    [(["--grid", "lr"], "FLAG=VALUE"), (["--grid", "lr=1e-3,"], "FLAG=VALUE"), (["--grid", "rl=1"], "no flag 'rl'"),
     (["--grid", "out=a,b"], "by itself"), (["--grid", "mirror=2,3"], "--mirror"), ([], "nothing to try"),
     (["--config", "nowhere"], "experiments by name"), (["--grid", "use_video=1"], "true or false"),
     (["--grid", "seed=1,2", "--resume"], "no sweep was begun")],
)  # fmt: skip
def test_what_cannot_be_tried_is_one_line_and_exit_code_2(tmp_path: Path, argv: list[str], named: str) -> None:
    done = CliRunner().invoke(sweep.main, [*argv, "--out", str(tmp_path / "sweep")])
    assert done.exit_code == 2
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(cluster.ClusterError, match=r"pip install 'livemove\[cluster\]'"), cluster.connected(1):
        pass


def test_the_best_is_the_lowest_loss_at_any_time_of_a_trial_that_ran_to_its_end() -> None:
    tried = [
        outcome(0, [-1.0, -0.5], seed="1"),
        outcome(1, [-0.5, -0.9], seed="2"),
        outcome(2, [-3.0], finished=False, trouble="the loss is no longer a number", seed="3"),
        outcome(3, [float("nan"), float("nan")], seed="4"),
        outcome(4, [], finished=False, seed="5"),
    ]
    best = sweep.best_of(tried)
    assert best is not None
    assert best.trial.number == 0
    assert best.best == (10, -1.0)
    assert [o.trial.number for o in sweep.ranking(tried)] == [2, 0, 1, 3, 4]
    assert sweep.best_of(tried[2:]) is None


def test_a_trials_figures_are_read_while_they_are_written(tmp_path: Path) -> None:
    lines = ['{"step": 2, "val_loss": 1.0}', '{"step": 4, "val_loss": 0.5}', '{"step": 2, "val_loss": 0.9}', '{"st']
    (tmp_path / trials.FIGURES).write_text("\n".join(lines))
    assert [(p["step"], p["val_loss"]) for p in trials.figures(tmp_path)] == [(2, 0.9), (4, 0.5)]
    assert trials.figures(tmp_path / "nothing") == []


def test_ray_runs_the_trials_and_the_best_can_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trials, one of which cannot work; then --resume: the one is kept, the other tried again."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_dances(tmp_path / "dances", train=2, valid=1)
    experiment = tmp_path / "tiny.yaml"
    small = {"dataset": str(tmp_path / "dances"), "residual_channels": 16, "skip_channels": 16, "layer_size": 2,
             "batch_size": 1, "seconds": 0.2, "num_workers": 0, "log_samples_every": 0, "steps": 2, "logger": "none",
             "log_every": 1, "checkpoint_every": 1, "threads": 1}  # fmt: skip
    experiment.write_text(yaml.safe_dump({**small, "sweep": {"seconds": [0.2, 99.0]}}))
    out = tmp_path / "sweep"
    argv = ["--config", str(experiment), "--out", str(out), "--trials-at-once", "2", "--cpus-per-trial", "0.5"]
    with cluster.connected(1) as ray:  # once for both: its start takes longer than the trials
        monkeypatch.setattr(cluster, "connected", lambda workers: contextlib.nullcontext(ray))
        done = CliRunner().invoke(sweep.main, argv)
        before = (out / "000_seconds=0.2" / "last.ckpt").stat().st_mtime_ns
        refused = CliRunner().invoke(sweep.main, argv)
        again = CliRunner().invoke(sweep.main, [*argv, "--resume"])
    assert done.exit_code == 1, done.output
    assert "--seconds 99" in " ".join(done.stdout.replace("│", " ").split())
    best = out / "tiny_best.yaml"
    args = recipe.read_arguments(["--config", str(best)], "")
    assert (args.seconds, args.out) == (0.2, Path("runs/tiny_best"))
    assert (out / "sweep.png").stat().st_size > 5000
    assert [point["step"] for point in trials.figures(out / "000_seconds=0.2")] == [1, 2]
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert again.exit_code == 1, again.output
    assert (out / "000_seconds=0.2" / "last.ckpt").stat().st_mtime_ns == before
