"""Train a model: `python training/train.py --dataset DATA --n_epochs 1`, `--config NAME`, or `--instrument theremin`.
Writes checkpoints, a log with sound in it, and the flags it ran with; export.py makes a bundle of a checkpoint.

Lightning runs the loop (precision, devices, clipping, averaging, progress); this file says what a step is, and when to
look and to save. Clips and noise come from seed and step, so a run killed and resumed ends as if it had never stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import logging
import math
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, LearningRateMonitor
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import Dataset

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.body.features import FEATURES
from livemove.contracts import HOP, Float32, LivemoveError, ModelSpec
from training.data.augment import Shake
from training.data.command_line import progress
from training.data.corpus import Corpus
from training.data.feed import Clip, Clips, Feed, Recorded, Sine, SoundDataset, Theremin, band_scale
from training.data.resident import Places, Resident, fits
from training.data.variants import Variants
from training.loop import path_fit, path_target
from training.loop.callbacks import Bar, Checkpoints, PlainBar, Waiting
from training.loop.checkpoints import open_checkpoint, pretrained
from training.loop.examples import Examples
from training.loop.losses import onset_hops, onset_loss, path_loss
from training.loop.optimizers import make_optimizer, make_schedule
from training.loop.own_past import OwnPast, own_past_loss
from training.loop.recipe import RecipeError, model_spec, read_arguments, write_arguments
from training.metrics.likelihood import ignoring
from training.model.transfer import differences, transfer
from training.model.wavenet import WaveNet, nats

FREE_TO_CHANGE = {
    "config", "name", "out", "dataset", "prepared_path", "pretrained", "resume", "auto_resume", "early_stop",
    "n_epochs", "num_workers", "pin_memory", "val_batch_size", "checkpoint_every", "accelerator", "compile", "threads",
    "resident", "devices", "dist_backend", "dist_port", "logger", "training_logs_path", "log_every",
    "log_samples_every", "log_samples", "log_video", "generate_n_samples", "generate_temperature",
}  # fmt: skip
"""Flags that a resumed run need not repeat to end as if it had never stopped."""

TRACKS_OF = {"pose": ("features",), "accents": ("accents",), "sound": ("descriptors", "controls")}
"""What --channels spells out: names for all channels of a corpus's tracks."""

RECORDINGS = 40
"""So many of the data's files are named in a checkpoint, and so in MODEL.md."""


class Training(pl.LightningModule):
    """One optimisation step: teacher forcing on noised inputs, negative log likelihood of the clean ones."""

    def __init__(self, spec: ModelSpec, args: argparse.Namespace, scale: Float32 | None, facts: dict[str, Any]) -> None:
        super().__init__()
        self.args, self.facts = args, facts
        self.model = WaveNet(spec)
        if scale is not None:
            self.model.weight("bands.scale").copy_(torch.from_numpy(scale))

        self.resident: Resident | None = None
        self.path_is_fitted = False
        self.onsets = onset_hops(spec)
        if args.onset_loss and not self.onsets:
            raise RecipeError("--onset_loss: only for models with channels of hits or accents")
        self.own_past: OwnPast | None = None
        self.lead_in = round(args.lead_in * spec.step_rate)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        return self.resident.batch(batch) if self.resident and "start" in batch else batch

    def start_from(self, given: Path) -> list[str]:
        """Take over a checkpoint's weights as the optimiser left them (not their average), or a bundle's; of another
        network what fits. Returns the names of the weights that begin anew. Raises RecipeError, BundleError."""
        spec, weights = pretrained(given)
        if not (different := differences(self.model.spec, spec)):
            self.model.load_weights(weights)
            return []
        new = transfer(self.model, spec, weights)
        print(f"{given} differs in {', '.join(different)}; what fits is carried over"
              + (f", these begin anew: {', '.join(new)}" if new else ""), file=sys.stderr)  # fmt: skip
        return new

    def loss(self, batch: dict[str, Tensor], noise: float) -> tuple[Tensor, Tensor, Tensor]:
        """(nats per value [clips, steps, bands], parameters, what the harmonic path leaves of each clip's bands: see
        `path_loss`; 0 without one); every clip's inputs are noised by its own share of `noise` (standard deviation;
        full scale 1)."""
        spec = self.model.spec
        values = batch["bands"]
        if spec.head == "logistic":
            values = values / self.model.weight("bands.scale")
        inputs = values if noise <= 0 else self.noised(values, noise, int(batch["index"][0]))
        parameters, harmonics = self.model(inputs, batch["channels"], batch["hz"], batch["cycles"], batch["style"])
        left = path_loss(values, harmonics) if spec.harmonic_path else parameters.new_zeros(())
        return nats(spec, parameters.float(), values), parameters, left

    def noised(self, values: Tensor, noise: float, first: int) -> Tensor:
        """Drawn for the whole batch of all processes, by its number: the same whoever computes which clip of it."""
        batch_size = self.args.batch_size
        generator = torch.Generator().manual_seed((self.args.seed << 32) + first // batch_size)
        mine = slice(first % batch_size, first % batch_size + len(values))
        share = torch.rand(batch_size, 1, 1, generator=generator) ** 3
        normal = torch.randn((batch_size, *values.shape[1:]), generator=generator)
        added = (noise * share * normal)[mine].to(values.device)
        if self.model.spec.head == "logistic":
            return values + added
        levels = self.model.spec.classes
        return (values + (added * levels / 2).round().long()).clamp(0, levels - 1)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        progress = self.global_step / self.trainer.max_steps
        each, parameters, left = self.loss(batch, self.args.input_noise * (1 - progress))
        loss = each[:, self.lead_in :].mean()
        if self.args.onset_loss:
            struck = onset_loss(self.model, parameters, batch, self.onsets)
            self.log("onset_loss", struck, batch_size=len(each), sync_dist=self.trainer.world_size > 1)
            loss = loss + self.args.onset_loss * struck
        if self.own_past and progress >= self.args.own_past_from:
            number, size = int(batch["index"][0]) // self.args.batch_size, self.own_past.size(len(each))
            self.own_past.play(self.model, number)
            own = own_past_loss(self.model, self.own_past.batch(size, number), self.lead_in)
            self.log("own_past_loss", own, prog_bar=True, batch_size=size)
            loss = loss + self.args.own_past * own
        if self.model.spec.harmonic_path:
            self.log("path_loss", left, batch_size=len(each), sync_dist=self.trainer.world_size > 1)
            if not self.path_is_fitted:
                loss = loss + self.args.path_loss * left
        if self.global_step % self.args.log_every == 0 and not torch.isfinite(loss):
            raise RecipeError(
                f"the loss is no longer a number at step {self.global_step}: try a lower --learning_rate or "
                f"--gradient_clipping, from {self.args.out}/last.ckpt by --pretrained"
            )
        self.log("loss", loss, prog_bar=True, batch_size=len(batch["bands"]), sync_dist=self.trainer.world_size > 1)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        spec = self.model.spec
        each, parameters, left = self.loss(batch, 0.0)
        figures = {"val_loss": each.mean()}
        if spec.harmonic_path:
            figures["val_path_loss"] = left
        if spec.head == "mulaw":
            figures["val_accuracy"] = (parameters.argmax(-1) == batch["bands"][..., 0]).float().mean()
        if len(each) > 1 and self.args.use_video:
            # The control: another clip's channels. If they do as well, the model does not listen to who plays it.
            other = {**batch, **{name: batch[name].roll(1, 0) for name in ("channels", "hz", "cycles")}}
            figures["val_loss_shuffled"] = self.loss(other, 0.0)[0].mean()
        self.log_dict(figures, prog_bar=True, batch_size=len(each), sync_dist=self.trainer.world_size > 1)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step % self.args.log_every == 0:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            self.log("gradient_norm", torch.nn.utils.get_total_norm(gradients))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["spec"] = dataclasses.asdict(self.model.spec)
        checkpoint["arguments"] = {name: str(v) if isinstance(v, Path) else v for name, v in vars(self.args).items()}
        figures = {name: float(value) for name, value in self.trainer.callback_metrics.items() if "val_" in name}
        checkpoint["facts"] = {**self.facts, "step": self.global_step, **figures}

    def configure_optimizers(self) -> Any:
        trained = [
            parameter
            for name, parameter in self.model.named_parameters()
            if not (self.path_is_fitted and name.startswith(path_fit.OF_PATH))
        ]
        optimizer = make_optimizer(self.args, trained)
        schedule = make_schedule(self.args, optimizer, self.trainer.max_steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def learn_beside_path(module: Training, resident: Resident | None, resume: Path | None) -> None:
    """--sustain_path: change what the network learns, by the path as it is, or as it was in the run that goes on."""
    if resident is None:
        raise RecipeError("--sustain_path: only with --resident, for it changes the analysed corpus")
    network = module.model
    if resume:
        network = WaveNet(module.model.spec)
        saved = open_checkpoint(resume)["state_dict"]
        network.load_state_dict({name.removeprefix("model."): value for name, value in saved.items()})
    with progress("sustained harmonics", len(resident.spans)) as say:
        gone = path_target.take_out(network, resident, lambda done, clips: say(done, "", clips))
    print(f"sustained harmonics: {gone:.1%} of the power was the recordings' own, and is left out", file=sys.stderr)


def open_dataset(args: argparse.Namespace) -> tuple[SoundDataset, dict[str, Any]]:
    """Where the clips come from, and what a model's card says of it. Raises LivemoveError."""
    if args.instrument:
        source = {"theremin": Theremin, "sine": Sine}[args.instrument]()
        return source, {"source": f"procedural sound ({args.instrument})"}
    corpus = Corpus(prepared(args))
    if args.sample_rate and args.sample_rate != corpus.sample_rate:
        raise RecipeError(
            f"--sample_rate {args.sample_rate}: {corpus.root} was prepared at {corpus.sample_rate} Hz; prepare it again"
        )
    source = Recorded(corpus, channel_names(args, corpus))
    if not source.holds_out:
        print(f"{corpus.root}: holds no clip out, so val_loss is of the clips it trains on", file=sys.stderr)
    recordings = sorted({Path(clip.source).name for clip in corpus.clips if clip.split == "train"})
    more = [f"and {len(recordings) - RECORDINGS} more"] if len(recordings) > RECORDINGS else []
    return source, {
        "source": args.dataset.resolve().name,
        "clips": sum(clip.split == "train" for clip in corpus.clips),
        "held_out_clips": sum(clip.split == "valid" for clip in corpus.clips) if source.holds_out else 0,
        "seconds": source.seconds,
        "recordings": recordings[:RECORDINGS] + more,
    }


def on_stage(args: argparse.Namespace, source: SoundDataset) -> SoundDataset:
    """The source with its dancers disturbed as the flags say; itself if they do not. Raises LivemoveError."""
    shake = Shake(args.landmark_noise, args.dropped_frames, args.latency_jitter / 1000, args.mirror, args.missing_limbs)
    if not shake.any:
        return source
    if not isinstance(source, Recorded) or not set(FEATURES).intersection(source.names):
        raise RecipeError(
            "--landmark_noise, --dropped_frames, --latency_jitter, --mirror, --missing_limbs: they disturb the dancer, "
            "and no channel of this model is the dancer's"
        )
    variants = Variants(source.corpus, shake, args.variants, args.seed, args.out / "variants")
    return Recorded(source.corpus, source.names, variants)


def prepared(args: argparse.Namespace) -> Path:
    """The corpus that --dataset names: itself, or made of the raw folder first. Raises LivemoveError."""
    if not args.dataset.is_dir():
        raise RecipeError(f"--dataset {args.dataset}: no such folder")
    if (args.dataset / "corpus.json").exists():
        return args.dataset
    if int(os.environ.get("WORLD_SIZE", args.devices or 1)) > 1:
        raise RecipeError(
            f"--dataset {args.dataset}: not prepared, and several processes must not do it at once; first: "
            f"python training/prepare.py {args.dataset} -o DATA"
        )
    from training.data.clip import Settings
    from training.prepare import left_out_lines, prepare

    rate = args.sample_rate or (16000 if args.architecture == "classic" else 48000)
    target = args.prepared_path or Path("runs/prepared") / f"{args.dataset.resolve().name}-{rate}"
    with progress(f"preparing into {target}", 0) as say:
        summary = prepare(
            str(args.dataset), target, Settings(rate), worker_count=os.cpu_count() or 1,
            on_progress=lambda done, total, clip: say(done, clip.key if clip else "", total),
        )  # fmt: skip
    for line in left_out_lines(summary.left_out):
        print(line, file=sys.stderr)
    for clip in summary.skipped:
        print(f"{clip.source}: skipped: {clip.skipped}", file=sys.stderr)
    for clip in summary.made:
        if clip.note and not clip.skipped:
            print(f"{clip.source}: {clip.note}", file=sys.stderr)
    return target


def channel_names(args: argparse.Namespace, corpus: Corpus) -> list[str]:
    """--channels, names of tracks spelled out. Raises RecipeError where the corpus has no such track."""
    asked = args.channels or ["pose" if "features" in corpus.tracks else "sound"]
    names: list[str] = []
    for name in asked:
        if name not in TRACKS_OF:
            names.append(name)
            continue
        found = [c.name for track in TRACKS_OF[name] for c in corpus.tracks.get(track, ())]
        if not found:
            raise RecipeError(f"--channels {name}: {corpus.root} has none; it has {', '.join(corpus.tracks)}")
        names += found
    return list(dict.fromkeys(names))


def resume_point(args: argparse.Namespace) -> Path | None:
    """The checkpoint to go on from, if that is asked for. Raises RecipeError."""
    last = args.out / "last.ckpt"
    if not (args.resume or args.auto_resume) or (args.auto_resume and not last.exists()):
        return None
    if not last.exists():
        raise RecipeError(f"nothing to resume: {last} does not exist; start without --resume")
    before = open_checkpoint(last)["arguments"]
    before = {"architecture" if name == "setting" else name: value for name, value in before.items()}  # its former name
    for flag in sorted(before.keys() & vars(args).keys() - FREE_TO_CHANGE):
        if before[flag] != getattr(args, flag):
            raise RecipeError(f"--resume: the run in {args.out} was started with --{flag} {before[flag]}; repeat that")
    return last


def make_logger(args: argparse.Namespace) -> Logger | bool:
    folder = args.training_logs_path or args.out / "log"
    if args.logger == "tensorboard":
        return TensorBoardLogger(folder.parent, name=folder.name, version="")
    if args.logger == "wandb":
        if importlib.util.find_spec("wandb") is None:
            raise RecipeError("--logger wandb: not installed here; pip install wandb, or use --logger tensorboard")
        folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(name=args.name, save_dir=folder, project="livemove", config=vars(args))
    return False


def make_trainer(args: argparse.Namespace, callbacks: list[pl.Callback], logger: Logger | bool) -> pl.Trainer:
    local = int(os.environ.get("LOCAL_WORLD_SIZE", args.devices or 1))
    world = int(os.environ.get("WORLD_SIZE", local))
    if world > 1 and args.batch_size % world:
        raise RecipeError(f"--batch_size {args.batch_size}: must be a multiple of the {world} processes that share it")
    if args.dist_port:
        os.environ.setdefault("MASTER_PORT", str(args.dist_port))
    return pl.Trainer(
        accelerator=args.accelerator,
        devices=local,
        num_nodes=world // local,
        strategy=DDPStrategy(process_group_backend=args.dist_backend) if world > 1 else "auto",
        use_distributed_sampler=False,
        precision=args.precision,
        max_steps=args.steps,
        max_epochs=-1,
        gradient_clip_val=args.gradient_clipping or None,
        accumulate_grad_batches=args.accumulation_steps,
        logger=logger,
        log_every_n_steps=args.log_every,
        val_check_interval=min(args.checkpoint_every, args.steps) * args.accumulation_steps,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        enable_model_summary=False,
    )


def run(args: argparse.Namespace, watching: Sequence[pl.Callback] = ()) -> None:
    """Train as asked; `watching` looks on. Raises LivemoveError."""
    torch.set_flush_denormal(True)  # saturated gates make denormal gradients
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it
    if args.threads:
        torch.set_num_threads(args.threads)
    source, facts = open_dataset(args)
    spec = model_spec(args, source.sample_rate, source.channels, source.styles)
    hops = max(round(args.seconds * spec.sample_rate / HOP), 1)
    if args.lead_in >= args.seconds:
        raise RecipeError(f"--lead_in {args.lead_in:g}: leaves nothing of clips of --seconds {args.seconds:g}")
    longest = min(source.longest_hops(held_out) for held_out in (False, True))
    if hops > longest:
        raise RecipeError(
            f"--seconds {args.seconds:g}: {args.dataset} has no clips so long to train on and to hold out, but of "
            f"{longest * HOP / spec.sample_rate:.2f} s"
        )
    if args.steps is None:
        clips = source.seconds * spec.sample_rate / HOP / hops * args.batch_subsample_frac
        args.steps = args.n_epochs * max(math.ceil(clips / args.batch_size / args.accumulation_steps), 1)
    resume = resume_point(args)
    training = Clips(on_stage(args, source), spec, hops, args.seed, False, not args.use_video, args.overfit)
    held_out = Clips(source, spec, hops, args.seed, held_out=True, of_rest=not args.use_video)
    scale = band_scale(source, spec, args.seed) if spec.head == "logistic" else None
    clips: Dataset[Clip] = training
    resident = make_resident(args, training, spec, hops)
    if resident and isinstance(training.source, Recorded):
        clips = Places(training.source, hops, args.seed, args.overfit)
    pl.seed_everything(args.seed, verbose=False)
    module = Training(spec, args, scale, facts)
    module.resident = resident
    if args.own_past:
        if resident is None:
            raise RecipeError("--own_past: with --resident only")
        module.own_past = OwnPast(resident, module.onsets, args.own_past, args.seed)
    anew = module.start_from(args.pretrained) if args.pretrained and not resume else None
    if spec.harmonic_path and args.path_fit and isinstance(source, Recorded):
        module.path_is_fitted = True
        if not resume:
            with progress("harmonic path", path_fit.STEPS) as say:
                share = path_fit.fit(module.model, source, anew, say=lambda done, steps: say(done, "", steps))
            print(f"harmonic path: explains {share:.1%} of the harmonics' power", file=sys.stderr)
        if args.sustain_path:
            learn_beside_path(module, resident, resume)
    if args.compile:
        module.model.compile()
    waiting = Waiting(args.log_every)
    logger = make_logger(args)
    callbacks: list[pl.Callback] = [waiting, Checkpoints(args.out), *watching]
    if args.log_samples_every:
        length = min(math.ceil(args.generate_n_samples / HOP), source.longest_hops(True))
        longer = Clips(source, spec, length, args.seed, held_out=True, of_rest=not args.use_video)
        callbacks.append(Examples(args, longer))
    decay = max(min(0.998, 1 - 4 / args.steps), 0.0) if args.ema is None else args.ema
    if decay > 0:
        callbacks.append(EMAWeightAveraging(decay=decay))
    if args.early_stop:
        callbacks.append(EarlyStopping("val_loss", patience=args.early_stop))
    if logger:
        callbacks.append(LearningRateMonitor("step"))
    if not any(isinstance(callback, pl.callbacks.ProgressBar) for callback in watching):
        callbacks.append(Bar(refresh_rate=1) if sys.stderr.isatty() else PlainBar(refresh_rate=50))
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # it advertises
    trainer = make_trainer(args, callbacks, logger)
    if trainer.is_global_zero:
        args.out.mkdir(parents=True, exist_ok=True)
        if resume is None:
            write_arguments(args, args.out / "arguments.yaml")
        size, weights = args.batch_size * args.accumulation_steps, sum(p.numel() for p in module.model.parameters())
        print(f"{spec.name}: {args.steps} steps of {size} clips x {args.seconds} s, {weights:,} weights -> {args.out}")
    feed = Feed(
        clips, held_out, args.steps, args.accumulation_steps, args.batch_size,
        args.val_batch_size or args.batch_size, args.num_workers, args.pin_memory, start_worker,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning against a newer torch
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")  # Batches.first
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # compute_share tells
        warnings.filterwarnings("ignore", message=".*on_after_batch_transfer.*")  # the module's is meant: `resident`
        trainer.fit(module, feed, ckpt_path=resume)
    if trainer.is_global_zero:
        said = ""
        if "val_loss" in trainer.callback_metrics:  # not where a finished run was resumed
            said = f", {waiting.share:.1%} of the time computing; val_loss {trainer.callback_metrics['val_loss']:.4f}"
        print(f"trained {trainer.global_step} steps{said}; checkpoint: {args.out / 'last.ckpt'}")
        if (line := ignoring(trainer.callback_metrics)) is not None:
            print(line, file=sys.stderr)


def make_resident(args: argparse.Namespace, training: Clips, spec: ModelSpec, hops: int) -> Resident | None:
    """The corpus on the device, where it can be and pays, or is asked for. Raises RecipeError, CorpusError."""
    source = training.source
    on_gpu = args.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    possible = fits(source, spec) and args.use_video and int(os.environ.get("WORLD_SIZE", args.devices or 1)) == 1
    if args.resident and not possible:
        raise RecipeError(
            "--resident: for prepared corpora, undisturbed, with channels, networks of bands, one process"
        )
    if not possible or not (on_gpu if args.resident is None else args.resident):
        return None
    assert isinstance(source, Recorded)
    return Resident(source, spec, hops, torch.device("cuda" if on_gpu else "cpu"))


def start_worker(worker: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def main(argv: list[str] | None = None) -> int:
    args = read_arguments(argv, __doc__ or "")
    try:
        run(args)
    except LivemoveError as error:
        # One that a loader's process met arrives with its traceback, the message last.
        line = str(error).strip().splitlines()[-1]
        print(line.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: "), file=sys.stderr)
        return 2
    except MisconfigurationException as error:
        print(f"{' '.join(str(error).split())} (--accelerator, --precision, --devices)", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or args.out}: {error.strerror}; then go on with --resume", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
