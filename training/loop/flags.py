"""The flags of training/train.py, in groups, each with its help; the origin's names where it had them.

In: nothing. Out: a parser. What flags mean together, and experiments in YAML, are recipe.py's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from livemove.numbers import of_text
from livemove.synthesis import pqmf

INSTRUMENTS = ("theremin", "sine")
OPTIMIZERS = ("AdamW", "Adam", "SGD", "RMSprop")
SCHEDULERS = ("OneCycleLR", "CyclicLR", "StepLR", "MultiStepLR", "none")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
INSTRUMENT_STEPS = 4000
EPOCHS = 10


class Parser(argparse.ArgumentParser):
    """One line for a mistake, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message} (training/train.py --help lists every flag)\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults beside the flags that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class _InsteadOf(argparse.Action):
    """Stores its value and forgets that of the flags it stands in for: the last one given counts."""

    def __init__(self, *args: Any, instead_of: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instead_of = instead_of

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        for other in self.instead_of:
            setattr(namespace, other, None)


def _number(kind: type, low: float, high: float = float("inf"), above: bool = False) -> Any:
    """An argparse type: a number in low..high, or above low."""

    def parse(text: str) -> Any:
        try:
            value = kind(text) if kind is int else of_text(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {'a whole' if kind is int else 'a'} number") from None
        if not (low < value if above else low <= value) or not value <= high:
            limits = f"{'above' if above else 'at least'} {low:g}" + (f" and at most {high:g}" if high < 1e300 else "")
            raise argparse.ArgumentTypeError(f"{text} must be {limits}")
        return value

    return parse


COUNT, NATURAL = _number(int, 1), _number(int, 0)
POSITIVE, AMOUNT, SHARE = _number(float, 0, above=True), _number(float, 0), _number(float, 0, 1)


def make_parser(description: str) -> argparse.ArgumentParser:
    """Every flag of training/train.py, in groups; the origin's names where it had them."""
    parser = Parser(
        prog="training/train.py",
        usage="training/train.py (--dataset DATA | --config NAME | --instrument theremin) [flags]",
        description=description,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    switch = argparse.BooleanOptionalAction
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        help="a YAML file of flags, or NAME for training/experiments/NAME.yaml; flags given beside it count more",
    )

    data = parser.add_argument_group("data")
    add = data.add_argument
    add(
        "--dataset",
        type=Path,
        action=_InsteadOf,
        instead_of=["instrument"],
        default=None,
        help="folder made by training/prepare.py, or a Kinetics-layout folder, which is prepared on the way",
    )
    add(
        "--instrument",
        choices=INSTRUMENTS,
        action=_InsteadOf,
        instead_of=["dataset"],
        default=None,
        help="procedural sound instead of a dataset (theremin, if there is neither)",
    )
    add(
        "--channels",
        nargs="+",
        default=None,
        metavar="NAME",
        help=(
            "what the model is played by: pose (end to end: the body's features), accents (of the body's), sound "
            "(descriptors of the sound), or names of single ones; pose where the dataset has it"
        ),
    )
    add(
        "--use_video",
        action=switch,
        default=True,
        help="without, every channel stays at rest: the unconditional control, the same network taught on audio only",
    )
    add(
        "--prepared_path",
        type=Path,
        default=None,
        help="where a raw folder's corpus is kept; runs/prepared/NAME-RATE if not given",
    )
    add(
        "--sample_rate",
        type=COUNT,
        default=None,
        help="Hz at which a raw folder is prepared; the architecture's own if not given",
    )
    add("--batch_size", type=COUNT, default=8, help="clips per step and accumulation, over all processes together")
    add("--val_batch_size", type=COUNT, default=None, help="clips per validation batch; batch_size if not given")
    add("--seconds", type=POSITIVE, default=0.5, help="length of a clip")
    add(
        "--batch_subsample_frac",
        type=_number(float, 0, 1, above=True),
        default=1.0,
        help="share of the data that counts as an epoch, drawn anew each time",
    )
    add(
        "--overfit",
        type=NATURAL,
        default=0,
        help="train on so many clips only, again and again, to see whether it learns at all; 0: on all",
    )
    add(
        "--num_workers",
        type=NATURAL,
        default=1,
        help="processes that prepare clips ahead; 0: the training process itself",
    )
    add("--pin_memory", action=switch, default=False, help="page-locked clips, quicker on their way to a GPU")

    model = parser.add_argument_group("model (the architecture's own value where none is given)")
    add = model.add_argument
    add(
        "--architecture",
        "--setting",  # its former name, in experiments and checkpoints
        dest="architecture",
        choices=("stage", "classic"),
        default="stage",
        help="stage: 48 kHz in 16 bands, mixture of logistics; classic: one band, mu-law softmax",
    )
    add(
        "--input_channels",
        "--classes",
        dest="classes",
        type=_number(int, 2, 65536),
        default=None,
        help="classic: mu-law levels",
    )
    add("--residual_channels", type=COUNT, default=None, help="width of the residual stream; a multiple of 16")
    add("--skip_channels", type=COUNT, default=None, help="width of the skip sum and of the head; a multiple of 16")
    add(
        "--layer_size",
        type=_number(int, 1, 16),
        default=None,
        help="layers of a stack: dilations 1 .. 2^(layer_size-1)",
    )
    add("--stack_size", type=COUNT, default=None, help="stacks")
    add("--bands", type=int, choices=(1, *sorted(pqmf.CUTOFF)), default=None, help="stage: bands of the filter bank")
    add("--mixtures", type=COUNT, default=None, help="stage: logistics per band")
    add("--conditioning_channels", type=COUNT, default=None, help="width of the conditioner")
    add(
        "--phase_harmonics",
        type=NATURAL,
        default=None,
        help="multiples of the pitch channel's phase at the input; 0: none",
    )
    add(
        "--harmonic_path",
        type=NATURAL,
        default=0,
        metavar="HARMONICS",
        help="harmonics of the additive path beside the network (see livemove/synthesis/harmonic_path.py); 0: none",
    )
    add("--path_hidden", type=COUNT, default=64, help="width of the small network that gives their amplitudes")
    add(
        "--pitch_range",
        type=_number(float, -200, 200),
        nargs=2,
        default=None,
        metavar=("LOW", "HIGH"),
        help="MIDI notes that the pitch channel spans; as in the dataset if not given",
    )
    add(
        "--gate",
        type=AMOUNT,
        nargs=2,
        default=None,
        metavar=("CLOSED", "FULL"),
        help="silence at rest: the output fades out while the loudness channel, or the body's energy if there is none, "
        "falls from FULL to CLOSED",
    )

    step = parser.add_argument_group("optimisation")
    add = step.add_argument
    add(
        "--n_epochs",
        type=COUNT,
        action=_InsteadOf,
        instead_of=["steps"],
        default=None,
        help=f"passes over the dataset ({EPOCHS}, if there is no --steps either)",
    )
    add(
        "--steps",
        type=COUNT,
        action=_InsteadOf,
        instead_of=["n_epochs"],
        default=None,
        help=f"optimisation steps ({INSTRUMENT_STEPS} for an instrument)",
    )
    add("--optimizer", choices=OPTIMIZERS, default="AdamW", help="as in torch.optim")
    add("--learning_rate", "--lr", type=POSITIVE, default=2e-3, help="of the optimiser, and the peak of OneCycleLR")
    add("--betas", type=SHARE, nargs=2, default=[0.9, 0.98], metavar="B", help="Adam, AdamW: decay of the moments")
    add("--momentum", type=AMOUNT, default=0.9, help="SGD, RMSprop")
    add("--weight_decay", type=AMOUNT, default=None, help="AdamW: 0.01, others: 0, if not given")
    add(
        "--scheduler", choices=SCHEDULERS, default="OneCycleLR", help="as in torch.optim.lr_scheduler, a step at a time"
    )
    add("--pct_start", type=SHARE, default=0.05, help="OneCycleLR: share of the steps in which the rate rises")
    add("--div_factor", type=POSITIVE, default=25.0, help="OneCycleLR: it begins at learning_rate / this")
    add("--final_div_factor", type=POSITIVE, default=1e4, help="OneCycleLR: it ends at its beginning / this")
    add("--base_lr", type=POSITIVE, default=1e-5, help="CyclicLR: lowest rate; learning_rate is its highest")
    add("--step_size_up", type=COUNT, default=500, help="CyclicLR: steps from the lowest to the highest rate")
    add("--cycle_mode", choices=("triangular", "triangular2", "exp_range"), default="triangular", help="CyclicLR")
    add("--step_size", type=COUNT, default=1000, help="StepLR: steps between two drops")
    add("--milestones", type=COUNT, nargs="+", default=[2000, 3000], help="MultiStepLR: the steps of its drops")
    add("--gamma", type=POSITIVE, default=0.5, help="StepLR, MultiStepLR, CyclicLR's exp_range: factor of a drop")
    add("--accumulation_steps", type=COUNT, default=1, help="batches whose gradients make one step")
    add("--gradient_clipping", type=AMOUNT, default=1.0, help="largest gradient norm; 0: any")
    add(
        "--ema",
        type=_number(float, 0, 0.999999),
        default=None,
        help=(
            "decay of the averaged weights, 0: none; if not given, 0.998 or, in a run below 2,000 steps, 1 - 4 / "
            "steps, so that its start is forgotten"
        ),
    )
    add(
        "--early_stop",
        type=NATURAL,
        default=0,
        help="stop after so many validations without a better val_loss; 0: never",
    )
    add("--seed", type=_number(int, 0, 2**31 - 1), default=1, help="of weights, clips, noise: same seed, same run")

    add(
        "--path_fit",
        action=switch,
        default=True,
        help="fit the harmonic path to a dataset's harmonics before the first step; the network is trained beside it",
    )
    add(
        "--sustain_path",
        action=switch,
        default=False,
        help="where a tone is sustained, learn its harmonics as the fitted path has them, not as each recording has; "
        "with --resident",
    )
    add(
        "--path_loss",
        type=AMOUNT,
        default=0.1,
        help="weight of what a harmonic path that is not fitted leaves unexplained, beside the likelihood",
    )
    add(
        "--onset_loss",
        type=AMOUNT,
        default=0.0,
        help="with channels of hits or accents: weight of the first 20 ms of what they strike, beside all there is",
    )
    add(
        "--lead_in",
        type=AMOUNT,
        default=0.0,
        metavar="SECONDS",
        help="at the beginning of every clip, heard but not learnt from: there the sound before is cut off, and a "
        "network that learns from it begins to sound out of silence",
    )
    add(
        "--own_past",
        type=SHARE,
        default=0.0,
        help="without a phase, with --resident: so many more clips, as a share of the batch, whose past the network "
        "played itself: it learns when to be silent, and how what is struck begins",
    )
    add("--own_past_from", type=SHARE, default=0.5, help="the share of the steps after which --own_past begins")

    shake = parser.add_argument_group("augmentation: what a stage does to the input")
    add = shake.add_argument
    add(
        "--input_noise",
        type=AMOUNT,
        default=0.05,
        help="noise on teacher-forced inputs (standard deviation; full scale is 1), annealed to 0",
    )
    add(
        "--landmark_noise",
        type=AMOUNT,
        default=0.0,
        help="jitter of the body's landmarks (standard deviation in trunk lengths; 0.02 is a centimetre)",
    )
    add("--dropped_frames", type=SHARE, default=0.0, help="share of camera frames lost: the pose before is held")
    add(
        "--latency_jitter",
        type=AMOUNT,
        default=0.0,
        metavar="MS",
        help="poses come up to so many milliseconds late, unevenly",
    )
    add("--mirror", type=SHARE, default=0.0, help="share of dances in which left and right are exchanged")
    add(
        "--missing_limbs",
        type=SHARE,
        default=0.0,
        help="share of the time in which an arm, a leg, both or the whole person is out of view",
    )
    add(
        "--variants",
        type=COUNT,
        default=4,
        help="so many versions of each dance are disturbed in these ways, each when it is first needed, into OUT",
    )

    run = parser.add_argument_group("machine")
    add = run.add_argument
    add("--accelerator", choices=("auto", "cpu", "gpu", "mps"), default="auto", help="what to compute on")
    add("--precision", choices=PRECISIONS, default="32-true", help="bf16-mixed on newer GPUs, 16-mixed on older ones")
    add(
        "--compile", action=switch, default=False, help="torch.compile: pays on a GPU; on a CPU compiling takes minutes"
    )
    add(
        "--resident",
        action=switch,
        default=None,
        help="keep the analysed corpus where it is computed, instead of loading clips; on a GPU if it can be",
    )
    add("--threads", type=NATURAL, default=0, help="CPU threads, 0 for all; on a busy machine 1 is quickest")
    add(
        "--devices",
        type=COUNT,
        default=None,
        help="processes on this machine, one per GPU (1 if not given); torchrun sets it",
    )
    add(
        "--dist_backend",
        choices=("nccl", "gloo"),
        default=None,
        help="between processes; nccl on GPUs, gloo on CPUs if not given",
    )
    add("--dist_port", type=_number(int, 1, 65535), default=None, help="port of the first process; torchrun sets it")

    files = parser.add_argument_group("checkpoints")
    add = files.add_argument
    add(
        "--out",
        "--model_output_path",
        dest="out",
        type=Path,
        default=None,
        help="folder of checkpoints and logs, shared by all machines (runs/NAME, by experiment, dataset or instrument)",
    )
    add("--checkpoint_every", type=COUNT, default=250, help="steps between validations, a checkpoint after each")
    add(
        "--pretrained",
        "--pretrained_model_path",
        dest="pretrained",
        type=Path,
        default=None,
        help="start from the weights of this checkpoint or model (folder or name); of another network what fits",
    )
    add("--resume", action=switch, default=False, help="go on from OUT/last.ckpt, exactly as if never stopped")
    add(
        "--auto_resume",
        action=switch,
        default=False,
        help="as --resume, and begin where there is nothing to resume: for machines that may be taken away",
    )

    log = parser.add_argument_group("log")
    add = log.add_argument
    add(
        "--logger",
        choices=("tensorboard", "wandb", "none"),
        default="tensorboard",
        help="wandb: pip install wandb; offline with WANDB_MODE=offline",
    )
    add("--training_logs_path", type=Path, default=None, help="folder of the log; OUT/log if not given")
    add("--log_every", type=COUNT, default=10, help="steps between points of the curves")
    add(
        "--log_samples_every",
        type=NATURAL,
        default=1000,
        help=(
            "steps between examples in the log, one more at the end: original, predicted and generated sound, "
            "spectrograms, pitch; 0: none"
        ),
    )
    add("--log_samples", type=COUNT, default=2, help="held-out clips among the examples")
    add("--log_video", action=switch, default=False, help="the examples also show the pose features that played them")
    add("--generate_n_samples", type=COUNT, default=48000, help="length of a generated example")
    add(
        "--generate_temperature",
        type=POSITIVE,
        default=None,
        help="of generated examples; the model's own if not given",
    )
    return parser
