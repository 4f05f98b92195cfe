"""A take played again, without camera and device: the same sound to the bit, or its movement through another model.

In: a take and, if asked, another model. Out: a WAV and a ReplayReport. The same code as on stage does it all, engines,
hand-over and callback; only what it met there comes from the take. Must not know devices, sessions or the terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from livemove.body.beat import BEAT_INPUTS
from livemove.body.features import FEATURES
from livemove.body.mapping import Mapping
from livemove.bundle import Bundle, find_bundle, load_bundle
from livemove.contracts import HOP, MAX_DANCERS, MAX_LAYERS, Controls, Float32, ModelSpec, TakeError
from livemove.controls import SNAP_AS_MAPPED
from livemove.ipc.segment import BLOCK_ROW, Segment
from livemove.native._realtime import LIMITER_ONE, Output
from livemove.synthesis.effects import SETTINGS, TEMPO_INPUTS, Effects, EffectSettings
from livemove.synthesis.engines import choose_engine
from livemove.synthesis.model_slots import ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.style_blend import StyleBlend
from livemove.synthesis.synthesis_config import Layer
from livemove.synthesis.synthesis_process import HopWriter
from livemove.takes.folder import Rows, Sound, TakenModel, model_sha256, pcm24, stacked
from livemove.takes.reading import DISAGREE, Take, load_take, plain_file
from livemove.takes.wav_recorder import check_writable

MOVEMENT = "its movement can be played with --mapping"


@dataclass(frozen=True)
class ReplayConfig:
    """What a run of `livemove replay TAKE -o FILE` does. None: as the take has it. dry: without delay and
    reverberation."""

    take: Path
    output: Path
    model: str | None = None
    engine: str | None = None
    provider: str = "cpu"
    mapping: Path | None = None
    dry: bool = False


class ReplayReport(TypedDict):
    """What `replay --report FILE` writes. exact: made from all that the take knows; otherwise why_not says why, and the
    movement was played. dry: as asked. identical: the very samples of the take; otherwise differs_s says from when
    on."""

    take: str
    output: str
    model: str
    engine: str
    seconds: float
    sample_rate: int
    exact: bool
    dry: bool
    why_not: str | None
    identical: bool
    differs_s: float | None
    wall_s: float


def replay(config: ReplayConfig, on_progress: Callable[[float, float], None]) -> ReplayReport:
    """Play the take into config.output; on_progress gets seconds done and of all. Raises LivemoveError."""
    began_s = time.perf_counter()
    check_writable(config.output)
    take = load_take(config.take)
    try:
        stacks = same_stacks(take, config)
        blocks, rate, why_not = again(take, stacks, config.dry), take.info.rate, None
    except TakeError as error:
        stacks = [other_stack(take, config)]
        blocks, rate, why_not = movement(take, stacks[0], config.dry), stacks[0].slots[0].spec.sample_rate, str(error)
    played = take.sound()
    done, differs = 0, None if rate == take.info.rate else 0
    with contextlib.closing(Sound(config.output, rate, sides=take.sides)) as file, contextlib.closing(blocks):
        for block in blocks:
            pcm = pcm24(block)
            file.write(pcm[:, : take.sides])
            if differs is None:
                wrong = np.flatnonzero((pcm != played[done : done + len(pcm)]).any(axis=(1, 2)))
                differs = done + int(wrong[0]) if len(wrong) else None
            done += len(pcm)
            on_progress(done / rate, take.seconds)
    return ReplayReport(
        take=str(config.take),
        output=str(config.output),
        model="+".join(slot.spec.name for slot in stacks[0].slots),
        engine=stacks[0].slots[0].engine.name,
        seconds=done / rate,
        sample_rate=rate,
        exact=why_not is None,
        dry=config.dry,
        why_not=why_not,
        identical=differs is None,
        differs_s=None if differs is None else differs / rate,
        wall_s=time.perf_counter() - began_s,
    )


def live_choice(path: Path, model: str | None, mapping: Path | None) -> tuple[tuple[Layer, ...], int, int]:
    """(layers, seed, dancers) to play a take's movement live with: one of that model, or those that played, the first
    with that mapping. Raises TakeError, BundleError."""
    take = load_take(path)
    dancers = MAX_DANCERS if len(take.poses) and take.poses["people"].max() > 1 else 1
    if model is not None:
        return (Layer(find_bundle(model), mapping),), take.info.seed, dancers
    layers: list[Layer] = []
    for each in stacked(take.info.models, take.info.models)[0]:
        own = mapping if mapping and not layers else _mapping(take, each.mapping)
        folder, note = find_bundle(_found(each.path, each.name)), None if each.note < 0.0 else each.note
        layers.append(Layer(folder, own, transpose=each.transpose, note=note, dancer=each.dancer))
    return tuple(layers), take.info.seed, dancers


# --- the same again -----------------------------------------------------------------------------------------


class _Recorded(Mapping):
    """Stands where a mapping was, and gives the channels that it gave."""

    def __init__(self, channels: int) -> None:
        self.external = ()
        self.styles = self.effects = None
        self.fired = []
        self.now = np.zeros(channels, np.float32)

    def reset(self) -> None:
        """They come from the take."""

    def steer(
        self,
        octave: int = 0,
        scale: int = 0,
        root: int = 0,
        transpose: float = 0.0,
        note: float | None = None,
        snap: float = SNAP_AS_MAPPED,
    ) -> None:
        """They were steered."""

    def step(self, inputs: Float32, dt_s: float, live: Float32 | None = None, held: bool = False) -> Float32:
        return self.now


class RecordedBlend(StyleBlend):
    """Stands where a style blend was, and gives the weights that it gave: those of `now`; or, of a take from before
    styles could be blended (None), the style by its number."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, 1.0)
        self.now: Float32 | None = None

    def step(self, controls: Controls, played: Float32 | None) -> int | Float32:
        if self.weights is not None and self.now is not None:
            self.weights[:] = self.now[: len(self.weights)]
            return self.weights
        return min(max(controls.style, 0), max(self.count - 1, 0))


def same_stacks(take: Take, config: ReplayConfig) -> list[Stack]:
    """The models and engines that played. Raises TakeError saying why that cannot be."""
    if config.mapping is not None:
        raise TakeError("another mapping was asked for")
    if not take.snapshots:
        raise TakeError(f"{take.path} began before the engine told its state")
    hop = take.snapshots[0].head.get("hop")
    if not isinstance(hop, (int, float)):
        raise TakeError(f"{take.path}: its first engine state does not say before which hop it was")
    if take.info.rate != take.info.model_rate and hop > 0:
        raise TakeError(f"{take.path} began while its sound was resampled, which cannot be taken up in the middle")
    if take.snapshots[0].head.get("loop"):
        raise TakeError(f"{take.path} began while a loop went round that was recorded before all that it knows")
    slots: list[ModelSlot] = []
    for model in take.info.models:
        folder = find_bundle(config.model or _found(model.path, model.name))
        if model_sha256(folder) != model.sha256:
            raise TakeError(f"{folder} is not the {model.name} that played")
        if config.engine not in (None, "auto", model.engine):
            raise TakeError(f"{model.engine} played, not {config.engine}")
        slot = _slot(take, load_bundle(folder), model.engine, config.provider, _mapping(take, model.mapping), model)
        slot.mapping, slot.blend = _Recorded(len(slot.spec.channels)), RecordedBlend(slot.spec)
        slots.append(slot)
    return [Stack(*layers) for layers in stacked(take.info.models, slots)]


def _found(path: str, name: str) -> str:
    return path if Path(path).is_dir() else name


def _mapping(take: Take, name: str) -> Path | None:
    return plain_file(take.path / name) if name else None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _slot(
    take: Take, bundle: Bundle, engine: str, provider: str, mapping: Path | None, as_taken: TakenModel | None = None
) -> ModelSlot:
    """as_taken: the layer it is, if it is one of the take's own."""

    def place(name: str) -> int:
        """Of an external input that the take does not have: an unused one."""
        external = take.info.sources[len(FEATURES) :]
        return external.index(name) if name in external else len(external)

    choice, seed = choose_engine(engine, bundle, provider), take.info.seed
    if as_taken is None:
        return ModelSlot(bundle, choice, mapping, seed, place)
    note = None if as_taken.note < 0.0 else as_taken.note
    seed += as_taken.layer - 1
    return ModelSlot(
        bundle, choice, mapping, seed, place, transpose=as_taken.transpose, note=note, dancer=as_taken.dancer
    )


def again(take: Take, stacks: Sequence[Stack], dry: bool = False) -> Generator[Float32]:
    """Float32 [frames, 2] of every block of the take, from the same channels, controls and noise. Raises TakeError.

    stacks as `same_stacks` makes them.
    """
    segment = Segment.create()
    try:
        yield from _blocks(take, stacks, segment, dry)
    except DISAGREE as error:
        raise TakeError(f"{take.path}: its files do not fit together ({_short(error)}); {MOVEMENT}") from error
    finally:
        segment.close()
        segment.unlink()


def _blocks(take: Take, stacks: Sequence[Stack], segment: Segment, dry: bool) -> Generator[Float32]:
    hops = _hops(take, stacks, segment, dry)
    first, output = take.blocks[0], None
    segment.ring.seek(int(take.hops["first_sample"][0]))
    for i, block in enumerate(take.blocks):
        while segment.ring.written < block["written"]:
            if not next(hops, False):
                raise TakeError(f"{take.path}: its last hops are lost; {MOVEMENT}")
            if i == 0 and segment.ring.written <= first["read"]:
                segment.ring.seek(segment.ring.written)  # played before the take began
        if output is None or block["fresh"]:
            output = Output(segment.bytes, take.info.rate, 2, 0.0)
            output.restore(state_of(block).view(np.uint8))
        segment.ring.set_target(int(block["target"]))
        segment.controls.write(Controls(gain=float(block["gain_target"])))
        if block["stop"]:
            output.stop()
        yield output.render(int(block["frames"]))


def state_of(block: np.void) -> npt.NDArray[np.void]:
    """BLOCK_ROW [1] of a take's block; what livemove did not have then is at rest, and what it had for one channel is
    so on both sides."""
    row = np.zeros(1, BLOCK_ROW)
    row["gains"] = LIMITER_ONE
    for name in set(block.dtype.names or ()) & set(BLOCK_ROW.names or ()):
        wanted, have = row[name][0], np.ravel(block[name])
        if 0 < have.size < wanted.size:
            have = np.tile(have, wanted.size // have.size)
        row[name][0] = have.reshape(wanted.shape)
    return row


def _hops(take: Take, stacks: Sequence[Stack], segment: Segment, dry: bool) -> Generator[bool]:
    """Each hop of the take goes into the ring."""
    starts = {(each.head["life_s"], each.head["hop"]): each for each in take.snapshots}
    sources = np.zeros(len(take.info.sources) + 1, np.float32)  # not looked at: the mappings are `_Recorded`
    crossfader: ModelCrossfader | None = None
    writer: HopWriter | None = None
    effects = Effects(take.info.model_rate)
    expected: tuple[float, float] | None = None
    for row, heard in zip(take.hops, _reached_ring(take.hops), strict=True):
        here = (float(row["life_s"]), float(row["hop"]))
        controls = controls_of(row)
        if here in starts:
            crossfader = ModelCrossfader(stacks, controls)
            crossfader.set_state(starts[here].head, starts[here].arrays)
            effects.set_state(starts[here].arrays)
            writer = HopWriter(segment.ring, take.info.model_rate, take.info.rate)
        elif here != expected or crossfader is None or writer is None:
            at_s = row["began_s"] - take.info.clock_s
            raise TakeError(f"{take.path}: a hop is missing at {at_s:.2f} s; {MOVEMENT}")
        expected = (here[0], here[1] + 1)
        sounding = int(row["sounding"])
        for i, stack in enumerate(stacks):
            names = ("channels", "blend") if i == sounding else ("leaving", "leaving_blend")
            _put(stack, row[names[0]], _numbers(row, names[1]))
        out = crossfader.play(sources, controls)
        if (settings := _numbers(row, "effects")) is not None and len(settings) == len(SETTINGS):
            out = effects.process(out, settings, dry)
        samples = writer.prepare(out)
        if heard and row["samples"] and samples is not None:
            writer.write(samples, math.nan)
        yield True


def _reached_ring(hops: Rows) -> npt.NDArray[np.bool_]:
    """bool [hops]: whether its sound went into the ring. Synthesis tells of a hop before that, and may be killed in
    between: then the next one begins at the same sample."""
    heard = np.ones(len(hops), np.bool_)
    heard[:-1] = hops["first_sample"][1:] >= hops["first_sample"][:-1] + hops["samples"][:-1]
    return heard


def _put(stack: Stack, channels: Float32, blend: Float32 | None) -> None:
    """Give each layer the channels and the weights of styles that it had; they stand there layer after layer."""
    at = weight = 0
    for slot in stack.slots:
        assert isinstance(slot.mapping, _Recorded)
        count = len(slot.mapping.now)
        own = channels[at : at + count]
        slot.mapping.now[: len(own)] = own  # of a stack that did not play there may be fewer
        at += count
        assert isinstance(slot.blend, RecordedBlend)
        styles = 0 if slot.blend.weights is None else len(slot.blend.weights)
        slot.blend.now = blend[weight : weight + styles] if styles and blend is not None else None
        weight += styles


def controls_of(row: np.void) -> Controls:
    """The controls of a hop; those that livemove did not have then are at rest."""
    have = row.dtype.names or ()
    values: dict[str, Any] = {
        f.name: type(f.default)(row[f.name])
        for f in dataclasses.fields(Controls)
        if f.name in have and f.name not in ("styles", "gains", "pans")
    }
    if "gain_1" in have:
        for name in ("gain", "pan"):
            values[f"{name}s"] = tuple(float(row[f"{name}_{i + 1}"]) for i in range(MAX_LAYERS))
    styles = _numbers(row, "styles")
    return Controls(**values, styles=() if styles is None else tuple(styles.tolist()))


def _numbers(row: np.void, name: str) -> Float32 | None:
    """The weights of a hop under that name; None where it has none, or livemove did not record them then."""
    if name not in (row.dtype.names or ()):
        return None
    found: Float32 = row[name][~np.isnan(row[name])]
    return found if len(found) else None


# --- the movement -------------------------------------------------------------------------------------------


def other_stack(take: Take, config: ReplayConfig) -> Stack:
    """One other model; or the layers that played, the first with another mapping if one was asked for."""
    engine, layers = config.engine or "auto", stacked(take.info.models, take.info.models)[0]
    if config.model is not None:
        return Stack(_slot(take, load_bundle(find_bundle(config.model)), engine, config.provider, config.mapping))
    slots: list[ModelSlot] = []
    for model in layers:
        mapping = config.mapping if config.mapping and model is layers[0] else _mapping(take, model.mapping)
        bundle = load_bundle(find_bundle(_found(model.path, model.name)))
        slots.append(_slot(take, bundle, engine, config.provider, mapping, model))
    return Stack(*slots)


def movement(take: Take, stack: Stack, dry: bool = False) -> Generator[Float32]:
    """Float32 [HOP, 2] at a time, as long as the take: what body and hands at the controls did, to this stack."""
    segment = Segment.create()
    try:
        yield from _moved(take, stack, segment, dry)
    except DISAGREE as error:
        raise TakeError(f"{take.path}: its files do not fit together ({_short(error)})") from error
    finally:
        segment.close()
        segment.unlink()


def _moved(take: Take, stack: Stack, segment: Segment, dry: bool) -> Generator[Float32]:
    if not len(take.hops):
        raise TakeError(f"{take.path}: this take holds no movement")
    rate = stack.slots[0].spec.sample_rate
    times: npt.NDArray[np.float64] = take.hops["began_s"] - take.info.clock_s
    hops = math.ceil(take.seconds * rate / HOP)
    fade = math.ceil(0.011 * rate / HOP)
    output = Output(segment.bytes, rate, 2, 0.0)
    crossfader: ModelCrossfader | None = None
    effects, set_effects = Effects(rate), EffectSettings(rate, controls_of(take.hops[0]))
    tempos = [place for place, name in enumerate(take.info.sources) if name in TEMPO_INPUTS]
    beats = [take.info.sources.index(name) if name in take.info.sources else -1 for name in BEAT_INPUTS]
    for hop in range(hops):
        row: np.void = take.hops[max(int(np.searchsorted(times, hop * HOP / rate, side="right")) - 1, 0)]
        controls = dataclasses.replace(controls_of(row), model=0)
        sources = np.append(row["sources"], np.float32(np.nan)).astype(np.float32)
        if crossfader is None:
            crossfader = ModelCrossfader([stack], controls)
            stack.enter(sources, controls)
        segment.controls.write(controls)
        mix = crossfader.play(sources, controls)
        tempo = next((float(sources[each]) for each in tempos if math.isfinite(sources[each])), math.nan)
        settings = set_effects.step(controls, stack.slots[0].mapping.effects, tempo, sources[beats].tolist())
        segment.ring.write(effects.process(mix, settings, dry))
        if hop >= hops - fade:
            output.stop()
        yield output.render(HOP)
