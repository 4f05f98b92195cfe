"""From recordings to an instrument in one go; the command is `livemove learn` (livemove/cli/learning.py).

In: sound files, or takes; a name. Out: a bundle in the user's data folder, figures and a verdict on it. All that a run
leaves lies in one folder beside the models, and the same request goes on from there: material cut, the plan (how many
steps, from which voice), checkpoints, examples. Prints nothing: lines go to whoever listens.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import default_collate

from livemove.bundle import Bundle, bundle_folders, list_bundles, load_bundle
from livemove.contracts import HOP, BundleError, LivemoveError, ModelSpec
from livemove.synthesis.engines import make_engine
from training import evaluate, export, train
from training.data import items, material, takes
from training.data.clip import Settings
from training.data.corpus import Corpus, replace_file
from training.data.feed import Clips, Recorded, band_scale
from training.data.material import Material
from training.loop.recipe import model_spec, read_arguments
from training.loop.watch import Watch
from training.metrics import nearest, verdict
from training.metrics.control_tracks import Ranges, met_ranges
from training.prepare import left_out_lines

FOLDER = "learning"
"""Beside the user's models."""
PLAN = "plan.json"
MOST_STEPS = 6000
"""More change little for a minute of sound; the shipped voices, of half an hour each, had 4,000."""
LEAST_STEPS = 20
MEASURED_S = 5.0
"""Steps are timed for so long before the duration is said."""
VALIDATE_S = 40.0
SMALL_PITCH_RANGE = 4.0
"""Semitones that a pitch channel spans at least."""
TEMPERATURES = {"notes": 0.3, "sound": 1.0, "movement": 0.5}
"""Of sampling while it learns. Below 1 a tone is cleaner; sound that is noise must keep its level. Of notes the noise
is calibrated at the end (loop/noise_fit.py), and the model asks for 1."""
AMOUNT = dataclasses.replace(evaluate.QUICK, seeds=1)
MEASURE_S = 90.0
"""What measuring and exporting take, about, at the end."""


class LearnError(LivemoveError):
    """Recordings that do not suffice, or a request that contradicts an earlier one of that name."""


class Listener(Protocol):
    """Whoever waits: lines to read, and where a long step is."""

    def line(self, text: str) -> None: ...

    def step(self, what: str, done: int, total: int, left_s: float | None = None) -> None: ...


@dataclass(frozen=True)
class Request:
    """What is asked for. start: a model, by name or folder, "" for the nearest, "none" for none. threads 0: whatever is
    quickest here. anyway: in spite of what is wrong with the material. check: only say what there is and how long it
    will take. finish: no more steps, only measure and export what there is."""

    sources: tuple[Path, ...]
    name: str = ""
    minutes: float = 40.0
    threads: int = 0
    start: str = ""
    anyway: bool = False
    check: bool = False
    finish: bool = False
    pose: str = "full"
    pose_model: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What was decided before the first step, as plan.json keeps it. kind: "notes", "sound" or "movement"; files: what
    is learnt from, as [path, bytes, modified in ns]; flags: of training/train.py."""

    kind: str
    files: list[list[Any]]
    seconds: float
    start: str
    steps: int
    steps_per_s: float
    flags: list[str]


@dataclass(frozen=True)
class Outcome:
    """bundle: None where it only checked, or was stopped."""

    bundle: Path | None
    lines: tuple[str, ...] = ()


def learn(request: Request, listener: Listener) -> Outcome:
    """All of it, or what is left of it. Raises LivemoveError; what has been done stays."""
    files, left_out = find_files(request.sources)
    for line in left_out_lines(left_out):
        listener.line(line)
    name = request.name or items.as_name(files[0].stem if len(files) == 1 else request.sources[0].stem).lower()
    target = bundle_folders()[-1] / name
    folder = target.parent.parent / FOLDER / name
    plan = _earlier(folder, files, name)
    _check_name(name, target, folder)
    if plan is None:
        plan = _begin(request, files, name, folder, listener)
    else:
        listener.line(
            f"going on with {name}: {plan.kind} of {len(files)} recording(s), {plan.steps} steps, in {folder}"
        )
    corpus = Corpus(folder / "corpus")
    if request.check:
        return Outcome(None)
    if not request.finish and not _trained(plan, folder, listener):
        listener.line(
            f"stopped; what is learnt so far is kept in {folder}. The same command goes on, "
            "with --finish it makes a model of what there is"
        )
        return Outcome(None)
    if not (folder / "run" / "last.ckpt").is_file():
        raise LearnError(f"{name}: nothing is learnt yet; run the same command without --finish")
    return _finished(plan, name, corpus, folder, target, listener)


def find_files(sources: tuple[Path, ...]) -> tuple[list[Path], list[tuple[str, str]]]:
    """(sounds or takes, folders opened; what is left out of these, and why). Sounds that lie among takes are what was
    danced to. Raises LearnError."""
    files: list[Path] = []
    left_out: list[tuple[str, str]] = []
    for source in sources:
        if not source.exists():
            raise LearnError(f"{source}: no such file or folder")
        if source.is_dir():
            files += items.usable_files(source, left_out)
        elif items.is_text(source):
            files.append(source)
        else:
            raise LearnError(f"{source}: {items.NO_TEXT}")
    videos = [path for path in files if path.suffix.lower() in items.VIDEO_SUFFIXES]
    sounds = [path for path in files if path not in videos]
    if videos:
        if named := [path for path in sounds if path in sources]:
            raise LearnError(
                f"{named[0]} is a sound, {videos[0]} a video: learn a sound from sounds, or movement from takes"
            )
        left_out += [(str(path), items.DANCED_TO) for path in sounds]
        return [path.absolute() for path in videos], left_out
    if not sounds:
        raise LearnError(
            f"{sources[0]}: holds neither sounds (*{items.SOUNDS[0]} ...) nor takes (*{items.VIDEO_SUFFIXES[0]} ...)"
        )
    return [path.absolute() for path in sounds], left_out


def _check_name(name: str, target: Path, folder: Path) -> None:
    """A model must be found by its name, and none must be lost. Raises LearnError."""
    if name != items.as_name(name):
        raise LearnError(f"--name {name!r}: letters, digits, _, - and . only")
    for path in list_bundles():
        if path.name == name and path != target:
            raise LearnError(f"there is a model {name} already ({path}); give another --name")
    if target.exists() and not (folder / PLAN).exists():
        raise LearnError(f"{target}: there is a model of that name already; give another --name")


def _signature(files: list[Path]) -> list[list[Any]]:
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _earlier(folder: Path, files: list[Path], name: str) -> Plan | None:
    """The plan of an earlier run of this name, if it was of these files. Raises LearnError."""
    path = folder / PLAN
    if not path.exists():
        return None
    try:
        plan = Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LearnError(f"{path}: cannot be read ({error}); delete {folder} to begin again") from error
    if plan.files != _signature(files):
        raise LearnError(
            f"{name} is being learnt from other recordings ({plan.files[0][0]} ...), or they have changed: "
            f"give another --name, or delete {folder}"
        )
    return plan


# --- before the first step ----------------------------------------------------------------------------------


def _begin(request: Request, files: list[Path], name: str, folder: Path, listener: Listener) -> Plan:
    """Judge, cut, choose, time, say. Raises LearnError where the material does not suffice."""
    movement = files[0].suffix.lower() in items.VIDEO_SUFFIXES
    there, make = (_takes if movement else _sounds)(request, files, name, folder, listener)
    kind = "movement" if movement else "notes" if there.pitched else "sound"
    for finding in there.findings:
        listener.line(("! " if finding.stops else "- ") + finding.text)
    if any(finding.stops for finding in there.findings) and not request.anyway:
        raise LearnError(f"{name}: not begun; mend what is marked ! (or learn it all the same: --anyway)")
    shutil.rmtree(folder / "corpus", ignore_errors=True)  # of a check, or of a run that did not get to its plan
    make(folder / "corpus")
    corpus = Corpus(folder / "corpus")
    flags = ["--config", f"learn_{kind}", "--dataset", str(folder / "corpus"), "--out", str(folder / "run")]
    if kind == "notes":
        flags += ["--pitch_range", *(f"{note:g}" for note in pitch_range(corpus))]
    args = read_arguments([*flags, "--steps", "1"], "")
    source = Recorded(corpus, train.channel_names(args, corpus))
    spec = model_spec(args, source.sample_rate, source.channels, source.styles)
    start = _start(request, corpus, spec, listener)
    if start:
        flags += ["--pretrained", start]
    threads, rate = _timed(request, args, source, spec)
    steps = round(request.minutes * 60 * rate)
    steps = max(min(steps, MOST_STEPS), LEAST_STEPS)
    flags += ["--steps", str(steps), "--threads", str(threads)]
    flags += ["--checkpoint_every", str(max(min(round(VALIDATE_S * rate), steps), 1))]
    plan = Plan(kind, _signature(files), there.seconds, start, steps, rate, flags)
    listener.line(
        f"{name} will take about {(steps / rate + MEASURE_S) / 60:.0f} minutes: {steps} steps at {rate:.1f} a second "
        f"(measured here, {threads} thread{'s' * (threads > 1)}), then figures"
    )
    if not request.check:
        replace_file(folder / PLAN, (json.dumps(dataclasses.asdict(plan), indent=1) + "\n").encode())
    return plan


def _sounds(
    request: Request, files: list[Path], name: str, folder: Path, listener: Listener
) -> tuple[Material, Callable[[Path], None]]:
    sounds: list[material.Sound] = []
    for done, path in enumerate(files):
        listener.step("listening", done, len(files))
        sounds.append(material.hear(path))
    there = material.judge(sounds)
    what = "one instrument's notes" if there.pitched else "sound without pitch"
    if there.sounding_s:
        listener.line(f"{len(files)} recording(s), {there.seconds:.0f} s, {there.sounding_s:.0f} s of it sound: {what}")
    return there, lambda root: material.cut(sounds, root, name)


def _takes(
    request: Request, files: list[Path], name: str, folder: Path, listener: Listener
) -> tuple[Material, Callable[[Path], None]]:
    settings = Settings(material.RATE, request.pose, request.pose_model and request.pose_model.absolute())
    watched = takes.watch(
        files,
        folder / "watched",
        name,
        settings,
        lambda done, total, what: listener.step(f"watched {what}", done, total),
    )
    there = takes.judge(folder / "watched", watched)
    listener.line(f"{len(files)} take(s), {there.seconds / 60:.1f} minutes of movement with sound")

    def make(root: Path) -> None:
        assert watched is not None  # judge says that it stops
        takes.cut(watched, root)

    if watched is None:
        raise LearnError(f"{name}: {'; '.join(finding.text for finding in there.findings)}")
    return there, make


def pitch_range(corpus: Corpus) -> tuple[float, float]:
    """MIDI notes that hold all that sounds with a pitch, but for stray hops, and a little more."""
    rows = np.concatenate([corpus.read(c, ("pitch", "loudness", "voicing")).channels for c in corpus.clips])
    notes = rows[(rows[:, 1] > 0.1) & (rows[:, 2] > 0.5), 0]
    low, high = np.percentile(notes if len(notes) else rows[:, 0], (0.5, 99.5))
    middle, half = (low + high) / 2, max((high - low) / 2 + 0.5, SMALL_PITCH_RANGE / 2)
    return float(np.floor(middle - half)), float(np.ceil(middle + half))


def _start(request: Request, corpus: Corpus, spec: ModelSpec, listener: Listener) -> str:
    """Folder of the model to begin with; "" for none. Raises LivemoveError."""
    if request.start == "none":
        return ""
    if request.start:
        return str(load_bundle(request.start).path)
    bundles: list[Bundle] = []
    for path in list_bundles():
        try:
            bundles.append(load_bundle(path))
        except BundleError as error:
            listener.line(f"- not begun with: {error}")
    found = nearest.ranked(corpus, bundles, spec.bands, spec.channel_names)
    if not found:
        listener.line("no model here has such channels: it begins from nothing")
        return ""
    others = ", ".join(f"{c.name} {c.bits:+.2f}" for c in found[1:4])
    listener.line(
        f"it begins with {found[0].name}, which expects it best as it is ({found[0].bits:+.2f} bits"
        + (f"; {others})" if others else ")")
    )
    return str(found[0].bundle.path)


def _timed(request: Request, args: Any, source: Recorded, spec: ModelSpec) -> tuple[int, float]:
    """(threads, steps a second with them): the quicker of one thread and all cores, each timed for some seconds."""
    hops = max(round(args.seconds * spec.sample_rate / HOP), 1)
    clips = Clips(source, spec, min(hops, source.longest_hops(False)), args.seed)
    batch = default_collate([clips[i] for i in range(args.batch_size)])
    module = train.Training(spec, args, band_scale(source, spec, args.seed), {})
    optimizer = torch.optim.AdamW(module.model.parameters(), 1e-4)
    before = torch.get_num_threads()
    found: dict[int, float] = {}
    try:
        for threads in [request.threads] if request.threads else sorted({1, os.cpu_count() or 1}):
            torch.set_num_threads(threads)
            done, began_s = -1, time.perf_counter()
            while done < 2 or time.perf_counter() - began_s < MEASURED_S:
                optimizer.zero_grad()
                module.loss(batch, args.input_noise)[0].mean().backward()
                optimizer.step()
                done += 1
                if done == 0:  # the first one also allocates
                    began_s = time.perf_counter()
            found[threads] = done / (time.perf_counter() - began_s)
    finally:
        torch.set_num_threads(before)
    return max(found.items(), key=lambda pair: pair[1])


# --- steps, figures, verdict --------------------------------------------------------------------------------


def _trained(plan: Plan, folder: Path, listener: Listener) -> bool:
    """Train what is left of the plan; False if it was stopped."""
    args = read_arguments([*plan.flags, "--auto_resume"], "")
    watch = Watch(
        folder / "run",
        TEMPERATURES[plan.kind],
        lambda done, total, left_s: listener.step("step", done, total, left_s),
        lambda path: listener.line(f"listen (recorded, then played by the model): {path}"),
    )
    with watch.ending_on_ctrl_c():
        train.run(args, [watch])
    return not watch.stop or torch.load(folder / "run" / "last.ckpt", weights_only=True)["global_step"] >= plan.steps


def _finished(plan: Plan, name: str, corpus: Corpus, folder: Path, target: Path, listener: Listener) -> Outcome:
    """Measure and export what last.ckpt holds. Raises LivemoveError."""
    listener.line("measuring it ...")
    trained = export.load_checkpoint(folder / "run" / "last.ckpt")
    temperature = TEMPERATURES[plan.kind]
    if plan.kind == "notes":
        trained, temperature = export.with_calibrated_noise(trained, corpus, quick=True), 1.0
    spec = dataclasses.replace(trained.spec, name=name, temperature=temperature)
    mapping = None if plan.kind == "movement" else mapping_text(spec, corpus)
    files = " ".join(shlex.quote(Path(path).name) for path, *_ in plan.files)
    lines: list[str] = []

    def measure(draft: Bundle) -> export.Measured:
        found = export.measured(draft, trained.facts, corpus, AMOUNT)
        if plan.kind == "notes":
            lines.extend(verdict.of_notes(found.figures))
        elif plan.kind == "movement":
            lines.extend(verdict.of_movement(found.figures, plan.seconds / 60))
        else:
            said, follows = verdict.of_sound(make_engine("auto", draft), corpus, spec.temperature)
            lines.extend(said)
            found.kept["follows"] = {channel: value for channel, value in follows.items() if np.isfinite(value)}
        if plan.kind != "movement" and found.figures["data"]["ignores_channels"]:
            lines.append("it ignores its channels: give it more time (--minutes), or a longer recording")
        verdict_text = "\n".join(f"- {line}" for line in lines)
        return dataclasses.replace(found, table=f"{verdict_text}\n\n{found.table}")

    text = export.own_card(spec, trained, export.NO_LICENCE, f"livemove learn {files} --name {name}")
    made, _ = export.export(spec, trained, target, mapping, text, measure, corpus)
    for line in lines:
        listener.line(line)
    listener.line(f"the model, its figures and its card (MODEL.md): {made.path}")
    listener.line(f"play it: livemove perform --model {name}")
    return Outcome(made.path, tuple(lines))


def mapping_text(spec: ModelSpec, corpus: Corpus) -> str:
    """mapping.toml by which a body plays what the corpus holds: at most two octaves by one arm, from its middle."""
    lines = ["# How the body plays it; the table at the top of livemove/body/features.py names what else there is.\n"]
    for channel in spec.channels:
        route = export.ROUTES[channel.name].format(low=channel.minimum, high=channel.maximum)
        ends = _ends(spec, corpus, channel.name)
        if ends and "to = " not in route:
            route += f"\nto = [{ends[0]:.3g}, {ends[1]:.3g}]"
        elif ends:
            route = route.replace(
                f"to = [{channel.minimum:g}, {channel.maximum:g}]", f"to = [{ends[0]:.4g}, {ends[1]:.4g}]"
            )
        lines.append(f"[channels.{channel.name}]\n{route}\n")
    return "\n".join(lines)


def _ends(spec: ModelSpec, corpus: Corpus, name: str) -> tuple[float, float] | None:
    """What a channel goes from and to when a body plays it; None: all of it."""
    if "pitch" in spec.channel_names:
        met: Ranges = met_ranges(spec, corpus)
        low, high = met.pitch
        middle = (low + high) / 2
        bright = (float(np.median(met.brightness[:, 1])), float(np.median(met.brightness[:, 2])))
        ends = {
            "pitch": (max(low, middle - 12), min(high, middle + 12)), "loudness": (0.0, met.loudness[1]),
            "brightness": bright,
        }  # fmt: skip
        return ends.get(name)
    rows = np.concatenate([corpus.read(clip, (name,)).channels[:, 0] for clip in corpus.clips])
    low, high = (float(value) for value in np.percentile(rows, (5, 98)))
    return (0.0 if name == "loudness" else low, high) if high > low else None
