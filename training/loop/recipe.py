"""What a training run is asked to do: flags, experiments in YAML, and the ModelSpec they describe.

In: a command line (its flags are flags.py's). Out: a checked argparse.Namespace and, given channels and styles, a
ModelSpec. Knows no data, no network and no loop.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from livemove.contracts import Channel, Gate, HarmonicPath, LivemoveError, ModelSpec, Phase
from livemove.synthesis import architectures
from training.loop.flags import EPOCHS, INSTRUMENT_STEPS, Parser, make_parser

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SWEEP = "sweep"
"""Section of an experiment that training/sweep.py reads: flags, and the values to try of each."""


class RecipeError(LivemoveError):
    """A run that cannot be started as asked; the message names the flag."""


def read_arguments(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """Flags, after those of --config. Mistakes end the process with one line and code 2."""
    parser = make_parser(description)
    argv = list(sys.argv[1:] if argv is None else argv)
    first, _ = _config_only().parse_known_args(argv)
    name = None
    if first.config is not None:
        path = find_experiment(first.config)
        try:
            document = read_experiment(path)
            document.pop(SWEEP, None)
            argv = [*as_flags(document, parser), *argv]
        except RecipeError as error:
            parser.error(f"argument --config: {path}: {str(error).removeprefix(f'{path}: ')}")
        name = path.stem
    args = parser.parse_args(argv)
    if args.dataset is None and args.instrument is None:
        args.instrument = "theremin"
    if args.steps is None and args.n_epochs is None:
        args.steps, args.n_epochs = (INSTRUMENT_STEPS, None) if args.instrument else (None, EPOCHS)
    if args.instrument and args.n_epochs:
        parser.error("argument --n_epochs: procedural sound has no end; say --steps, or name a --dataset")
    args.name = name or args.instrument or args.dataset.resolve().name
    args.out = args.out or Path("runs") / args.name
    for flag in ("residual_channels", "skip_channels"):
        if getattr(args, flag) and getattr(args, flag) % 16:
            parser.error(f"argument --{flag}: {getattr(args, flag)} must be a multiple of 16: the engines need it")
    return args


def _config_only() -> argparse.ArgumentParser:
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=None)
    return parser


def read_experiment(path: Path) -> dict[str, Any]:
    """What stands in a YAML file of flags. Raises RecipeError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        names = ", ".join(sorted(p.stem for p in EXPERIMENTS.glob("*.yaml")))
        raise RecipeError(f"{path}: {error.strerror}; experiments by name: {names}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: expected lines of 'flag: value'")
    return document


def find_experiment(path: Path) -> Path:
    """The file that --config means: itself, or the experiment of that name."""
    by_name = EXPERIMENTS / f"{path}.yaml"
    return by_name if not path.is_file() and path.name == str(path) and by_name.is_file() else path


def flag_of(name: str, parser: argparse.ArgumentParser) -> argparse.Action:
    """The flag of that name, without dashes. Raises RecipeError for one that no file may hold."""
    known = {option[2:]: action for option, action in parser._option_string_actions.items() if option[:2] == "--"}
    if name not in known or name in ("config", "help"):
        near = difflib.get_close_matches(name, known, 1)
        raise RecipeError(f"no flag {name!r}" + (f"; {near[0]}?" if near else ""))
    return known[name]


def as_flags(values: Mapping[str, Any], parser: argparse.ArgumentParser) -> list[str]:
    """Flag names and their values as the command line that says the same. Raises RecipeError."""
    argv: list[str] = []
    for name, value in values.items():
        if isinstance(flag_of(str(name), parser), argparse.BooleanOptionalAction):
            if not isinstance(value, bool):
                raise RecipeError(f"{name} is true or false, not {value!r}")
            argv.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            argv += [f"--{name}", *(str(v) for v in (value if isinstance(value, list) else [value]))]
    return argv


def as_experiment(args: argparse.Namespace) -> dict[str, Any]:
    """The run as flag names and values that a YAML file for --config may hold."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(args).items()
        if value is not None
        and name not in ("config", "name", "resume", "auto_resume")
        and not (name == "steps" and args.n_epochs)  # it follows from the dataset
    }


def write_arguments(args: argparse.Namespace, path: Path) -> None:
    """The run as a YAML file that --config takes."""
    path.write_text(yaml.safe_dump(as_experiment(args), sort_keys=False), encoding="utf-8")


def command_line(arguments: dict[str, Any]) -> str:
    """The command that would start such a run: flags that differ from their defaults. Paths by their last name."""
    words = ["python training/train.py"]
    for action in make_parser("")._actions:
        former = "setting" if action.dest == "architecture" else action.dest  # in checkpoints of before
        value = arguments.get(action.dest, arguments.get(former))
        if action.dest in ("config", "out", "resume", "auto_resume") or value is None or value == action.default:
            continue
        if action.dest == "steps" and arguments.get("n_epochs"):
            continue
        flag = action.option_strings[0]
        if isinstance(action, argparse.BooleanOptionalAction):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            values = value if isinstance(value, list) else [value]
            words.append(" ".join([flag, *(Path(v).name if action.type is Path else str(v) for v in values)]))
    return " ".join(words)


def model_spec(
    args: argparse.Namespace, sample_rate: int, channels: tuple[Channel, ...], styles: tuple[str, ...]
) -> ModelSpec:
    """The architecture with the sizes that were asked for. Raises RecipeError for sizes that do not go together."""
    stage = args.architecture == "stage"
    base = architectures.stage(args.name, channels) if stage else architectures.classic(args.name, channels)
    for flag in ("bands", "mixtures") if not stage else ("classes",):
        if getattr(args, flag) is not None:
            raise RecipeError(f"--{flag}: the {args.architecture} architecture has none; use the other --architecture")
    bands = args.bands or base.bands
    layer_size = args.layer_size or 10
    skip = args.skip_channels or base.skip
    changed: dict[str, Any] = {
        "sample_rate": sample_rate,
        "styles": styles,
        "bands": bands,
        "pqmf_taps": 10 * bands if stage and bands > 1 else 0,
        "classes": args.classes or base.classes,
        "mixtures": args.mixtures or base.mixtures,
        "residual": args.residual_channels or base.residual,
        "skip": skip,
        "hidden": args.skip_channels or base.hidden,
        "dilations": tuple(2**i for i in range(layer_size)) * (args.stack_size or len(base.dilations) // 10),
        "conditioning": args.conditioning_channels or base.conditioning,
    }
    if args.phase_harmonics is not None:
        if args.phase_harmonics and "pitch" not in (c.name for c in channels):
            raise RecipeError("--phase_harmonics: there is no pitch among the channels whose phase could run")
        changed["phase"] = Phase("pitch", args.phase_harmonics) if args.phase_harmonics else None
    names = [c.name for c in channels]
    if args.harmonic_path:
        if not stage or bands == 1 or not changed.get("phase", base.phase):
            raise RecipeError("--harmonic_path: needs the stage architecture, bands, and a phase (--phase_harmonics)")
        level = "loudness" if "loudness" in names else ""
        changed["harmonic_path"] = HarmonicPath(args.harmonic_path, args.path_hidden, level)
    if args.pitch_range:
        low, high = args.pitch_range
        if "pitch" not in names or not 0 <= low < high <= 127:
            raise RecipeError("--pitch_range: two MIDI notes, the lower one first, for a model with a pitch channel")
        rest = min(max(69.0, low), high)
        changed["channels"] = tuple(
            Channel("pitch", c.unit, low, high, rest) if c.name == "pitch" else c for c in channels
        )
    if args.gate:
        level = next((name for name in ("loudness", "energy") if name in names), None)
        if level is None or args.gate[0] >= args.gate[1]:
            raise RecipeError("--gate: two levels of a channel loudness or energy, the lower one first")
        changed["gate"] = Gate(level, *args.gate)
    return dataclasses.replace(base, **changed)
