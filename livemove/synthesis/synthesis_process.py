"""The synthesis process: newest pose -> features -> mappings -> engines -> mix -> effects -> ring, one hop at a time.

Each hop is made from the body as it will be when the hop is heard. In: the pose and controls mailboxes, external
inputs, the callback's account of its blocks. Out: audio hops, each marked with the pose it was made from. A spare has
loaded all of it and goes on where another one broke off. Knows nothing of cameras and devices but the ring's rate. The
loop allocates little, and the garbage collector stays out of it.
"""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from livemove.body.beat import BEAT_INPUTS
from livemove.body.dancers import Dancer, not_looked_for
from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, FeatureSpec, FeatureStream
from livemove.body.mapped_triggers import Fired
from livemove.body.mapping import Mapping, mapping_for
from livemove.body.posture_files import Taught, check_taught, taught_in
from livemove.body.postures import Recogniser
from livemove.bundle import load_bundle
from livemove.contracts import HOP, Float32, LivemoveError, PoseFrame
from livemove.ipc.cpu_affinity import take_sound_core
from livemove.ipc.mailboxes import pose_of
from livemove.ipc.network import deny_sockets
from livemove.ipc.segment import AudioRing, ProcessState, Segment, State, now_s
from livemove.numbers import LARGEST
from livemove.synthesis.effects import STATES, TEMPO_INPUTS, Effects, EffectSettings
from livemove.synthesis.heard import HeardTime
from livemove.synthesis.model_slots import ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.pace import Lead, RealTime
from livemove.synthesis.standby import Standby
from livemove.synthesis.synthesis_config import Layer, SynthesisConfig

Snapshot = tuple[dict[str, Any], dict[str, Any]]
"""What `ModelCrossfader.state` and `Effects.state` gave, together."""

SNAPSHOT_S = 0.25
"""A process that takes over goes on from the last snapshot: no note is much older. A snapshot costs 0.3 ms. Takes keep
one every few seconds (takes/history.py)."""

FIRST_SNAPSHOT_S = 5.0
"""The very first one stands for so long: from it on a take can be made again, if the supervisor has seen it."""

LOOK_S = 0.05
"""A heartbeat at least so often, whether or not a hop is due: the supervisor tells by it who stands still."""

PAST_POSES_S, PAST_POSES = 1.0, 60
"""Who takes over looks at the poses of so long before, so many at most: filters and predictions are where they were."""

STALE_POSE_S = 1.0
"""A pose older than this is nobody's: features have eased to rest by then, and no latency is claimed for them."""

JUMP = FEATURES.index("jump")


class HopWriter:
    """Stereo hops at the model's rate -> the ring at the device's rate, each with its mark. The ring's one producer."""

    def __init__(self, ring: AudioRing, model_rate: int, device_rate: float) -> None:
        self.rate = device_rate
        self._ring = ring
        self._ratio = device_rate / model_rate
        self._first = ring.written
        self._hops = self._begins = 0
        self._resampler = None
        if device_rate != model_rate:
            # soxr gives its output in lumps. LQ's hold it back 5 ms on average, 10 at most (HQ: 11 and 19), and what it
            # adds to a 15 kHz sine at 44.1 kHz lies 113 dB down (HQ: the same).
            self._resampler = soxr.ResampleStream(model_rate, device_rate, 2, dtype="float32", quality="LQ")

    @property
    def sample(self) -> int:
        """Of the ring: where the next hop begins."""
        return self._first + round(self._hops * HOP * self._ratio)

    def prepare(self, hop: Float32) -> Float32 | None:
        """The samples [n, 2] of a hop float32 [HOP, 2], for `write`. None: the ring has no room for them, and the hop
        is dropped; those after it come so much earlier."""
        samples = hop if self._resampler is None else self._resampler.resample_chunk(hop)
        self._begins = self.sample
        self._hops += 1
        if len(samples) > self._ring.room:
            self._first -= len(samples)
            return None
        return samples

    def write(self, samples: Float32, capture_s: float) -> None:
        """What `prepare` gave last; for it there is room."""
        self._ring.mark(self._begins, capture_s)
        self._ring.write(samples)


class Reloader:
    """Reads the mapping files and the postures again beside the loop, which never waits for a file.

    Its thread is started before the loop asks for real time, and so has none.
    """

    def __init__(
        self,
        slots: Sequence[ModelSlot],
        process_state: ProcessState,
        sends: Sequence[str] = (),
        postures: Path | None = None,
        dancers: int = 1,
    ) -> None:
        """sends, postures, dancers: of the SynthesisConfig."""
        self._slots = slots
        self._sends, self._dancers = sends, dancers
        self._postures = postures
        self._process_state = process_state
        self._asked = threading.Event()
        self._ready: deque[tuple[ModelSlot, Mapping]] = deque()
        self._recognisers: deque[Recogniser] = deque()
        threading.Thread(target=self._read, name="mapping reader", daemon=True).start()

    def ask(self) -> None:
        self._asked.set()

    def apply(self, events: EventInputs) -> None:
        """In the loop: mappings that were read take over where the old ones are, postures from the next pose on."""
        while self._recognisers:
            recogniser = self._recognisers.popleft()
            recogniser.take_over(events.postures)
            events.postures = recogniser
        while self._ready:
            slot, mapping = self._ready.popleft()
            mapping.take_over(slot.mapping)
            mapping.notices += _unsent(mapping, self._sends) + not_looked_for(mapping.external, self._dancers)
            try:
                slot.set_mapping(mapping)
            except LivemoveError as error:
                self._process_state.remark(f"{error}; the mapping in use stays")

    def _read(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            taught = taught_in(self._postures)
            self._recognisers.append(Recogniser(taught.postures))
            for slot in self._slots:
                if slot.mapping_path is None:
                    continue
                try:
                    mapping = mapping_for(slot.mapping_path, slot.spec, FEATURES)
                    check_taught(mapping.external, taught, str(slot.mapping_path))
                    self._ready.append((slot, mapping))
                    self._process_state.remark(f"{slot.mapping_path}: read again")
                except LivemoveError as error:
                    self._process_state.remark(f"{error}; the mapping in use stays")


def run(segment: Segment, config: SynthesisConfig) -> None:
    """Keep the ring filled until the supervisor asks to stop. Raises BundleError, EngineError, MappingError."""
    _deny_network(config)
    taught = taught_in(config.postures)
    stacks, effects = _load(segment, config, taught)
    process_state = segment.processes["synthesis"]
    while segment.device_rate == 0.0:  # playback opens its device at the same time
        if segment.stop_requested:
            return
        process_state.heartbeat()
        time.sleep(0.002)
    _play(segment, config, stacks, effects, taught)


def prepare(segment: Segment, config: SynthesisConfig) -> Callable[[str], None]:
    """A spare: all of `run` that takes time. What it gives, called with the name of an engine that crashed, or "", goes
    on where the process before it broke off."""
    _deny_network(config)
    taught = taught_in(config.postures)
    stacks, effects = _load(segment, config, taught, at_leisure=True)

    def take_over(crashed: str) -> None:
        _deny_network(config)  # this thread is another one
        if crashed:
            segment.synthesis.engine_failed(crashed)
        failed = segment.synthesis.failed_engines
        for stack in stacks:
            for slot in stack.slots:
                slot.leave_engines(failed)
        if crashed:
            playing = stacks[0].slots[0].engine.name
            segment.processes["synthesis"].remark(f"engine {crashed} crashed: {playing} plays on, to the end")
        _play(segment, config, stacks, effects, taught, taking_over=True)

    return take_over


def _deny_network(config: SynthesisConfig) -> None:
    deny_sockets(local=config.engine in ("auto", "cuda") or config.provider != "cpu")  # GPU drivers have local ones


def _load(
    segment: Segment, config: SynthesisConfig, taught: Taught, at_leisure: bool = False
) -> tuple[list[Stack], Effects]:
    """Every layer of the set, each with an engine that is proven and warm, and one that stands by; and the effects.
    Layers draw different noise, or two of one model would make the same hiss twice."""

    def tell(engine: str, trouble: str, following: str) -> None:
        segment.synthesis.engine_failed(engine)
        segment.processes["synthesis"].running(following)
        segment.processes["synthesis"].remark(f"engine {engine} failed ({trouble}): {following} plays on, to the end")

    def loaded(layer: Layer, number: int) -> ModelSlot:
        bundle = load_bundle(layer.model)
        standby = Standby(bundle, config.provider, lambda: segment.synthesis.failed_engines, tell)
        choice = standby.first(config.engine)
        slot = ModelSlot(
            bundle, choice, layer.mapping, config.seed + number, segment.external_inputs.want,
            follower=standby.follower, transpose=layer.transpose, note=layer.note, dancer=layer.dancer,
        )  # fmt: skip
        check_taught(slot.mapping.external, taught, str(slot.mapping_path))
        slot.warm_up()
        standby.prepare(choice.engine.name, at_leisure)
        return slot

    stacks = [Stack(*(loaded(layer, number) for number, layer in enumerate(layers))) for layers in config.stacks]
    return stacks, Effects(stacks[0].slots[0].spec.sample_rate)


def _play(
    segment: Segment, config: SynthesisConfig, stacks: list[Stack], effects: Effects, taught: Taught,
    taking_over: bool = False,
) -> None:  # fmt: skip
    """The loop. It ends when the session stops."""
    process_state = segment.processes["synthesis"]

    slots = [slot for stack in stacks for slot in stack.slots]
    model_rate = slots[0].spec.sample_rate
    writer, block = _writer(segment, model_rate), segment.device_block
    controls = segment.controls.read()
    stream = FeatureStream(FeatureSpec(look_ahead_s=controls.look_ahead_s))
    further = [Dancer(number, stream.spec) for number in range(1, config.dancers)]
    events, heard = EventInputs(taught.postures), HeardTime()
    hop_s = HOP / model_rate
    slowest = min(stack.realtime for stack in stacks)
    lead = Lead(hop_s, slowest)
    frame = PoseFrame()
    seen_s = math.nan
    external = segment.external_inputs.values
    inputs = np.zeros(len(FEATURES) + len(external), np.float32)
    live = inputs.copy()
    crossfader, set_effects = ModelCrossfader(stacks, controls), EffectSettings(model_rate, controls)
    tempos = [segment.external_inputs.want(name) for name in TEMPO_INPUTS]
    beats = [segment.external_inputs.want(name) for name in BEAT_INPUTS]
    reloader = Reloader(slots, process_state, config.sends, config.postures, config.dancers)
    reloads = controls.reloads
    for slot in slots:
        slot.mapping.notices += _unsent(slot.mapping, config.sends) + not_looked_for(
            slot.mapping.external, config.dancers
        )
    life_s, hops, snapshot_s = now_s(), 0, 0.0
    nothing, said = np.zeros(0, np.float32), set[str]()
    held: Float32 | None = None
    if taking_over:
        segment.blocks.skip()
        held = _catch_up(segment, stream, events, further, hop_s)

    process_state.running(slots[0].engine.name)
    sys.setswitchinterval(0.0005)  # the mapping reader must let go of the interpreter soon
    take_sound_core()
    real_time = RealTime(slowest, now_s())
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing below makes cycles; a full collection costs tens of ms
    while not segment.stop_requested or segment.processes["playback"].state is State.RUNNING:  # it fades out at the end
        process_state.heartbeat()
        if segment.device_rate != writer.rate:  # another audio device: it waits for this before it opens
            writer, snapshot_s = _writer(segment, model_rate), 0.0
        elif segment.device_block != block:
            block = segment.device_block
            segment.ring.set_pace(writer.rate, block)
        played = segment.playback
        lead.adapt(played.callbacks, played.underruns, played.margin_s, played.heartbeat_s, now_s())
        if not segment.ring.wait_due(lead.seconds, LOOK_S):
            continue
        began_s = now_s()
        heard.add(segment.blocks.take()[0], writer.rate)
        sounds_s = heard.at(writer.sample, writer.rate, began_s)
        heard_s = sounds_s + 0.5 * hop_s  # channels are constant in a hop
        heard_s += config.camera_delay_s  # a pose is older than its frame's arrival says
        if segment.pose.read(frame):
            events.update(frame, float(stream.update(frame, heard_s)[JUMP]))
            for dancer in further:
                dancer.update(frame, heard_s)
            seen_s = frame.capture_s
        if began_s - seen_s > STALE_POSE_S:
            seen_s = math.nan
        controls = segment.controls.read()
        if controls.look_ahead_s != stream.spec.look_ahead_s:
            stream.spec = replace(stream.spec, look_ahead_s=controls.look_ahead_s)
        if controls.reloads != reloads:
            reloads = controls.reloads
            reloader.ask()
        reloader.apply(events)
        inputs[: len(FEATURES)] = features = stream.at(heard_s)
        events.step(features, hop_s)
        events.put(external, segment.external_inputs.wanted)
        for dancer in further:
            dancer.look_ahead(controls.look_ahead_s)
            dancer.step(heard_s, hop_s)
            dancer.put(external, segment.external_inputs.wanted)
        inputs[len(FEATURES) :] = external
        if controls.freeze:
            live[:] = inputs
            for each in (events, *further):
                each.silence()  # a held envelope is no hit; triggers look at what there is
                each.put(external, segment.external_inputs.wanted)
            inputs[len(FEATURES) :] = external
        if held is not None:
            snapshot = segment.snapshot.take()
            crossfader.take_over(inputs, held, controls, snapshot and _without_effects(snapshot))
            if snapshot is not None and snapshot[0]["panics"] == controls.panics:
                effects.set_state(snapshot[1])  # what rang rings on
            if segment.synthesis.loop.words:  # of who played before
                process_state.remark("the loop is lost with the process that held it: record it again")
            held = None
        if began_s >= snapshot_s and (state := crossfader.state()) is not None:
            snapshot_s = began_s + (SNAPSHOT_S if hops else FIRST_SNAPSHOT_S)
            place = {"life_s": life_s, "hop": hops, "first_sample": segment.ring.written, "rate": writer.rate}
            of_effects = effects.state()
            segment.snapshot.write({**place, **state[0], **of_effects[0]}, {**state[1], **of_effects[1]})
        first = segment.ring.written
        mix = crossfader.play(inputs, controls, live if controls.freeze else None)
        tempo = next((float(external[each]) for each in tempos if math.isfinite(external[each])), math.nan)
        beat = external[beats].tolist()
        settings = set_effects.step(controls, crossfader.current.slots[0].mapping.effects, tempo, beat)
        samples = writer.prepare(effects.process(mix, settings))
        sounding, leaving = crossfader.played
        left, of_leaving = (nothing, None) if leaving is None else (leaving.channels, leaving.blend)
        count = 0 if samples is None else len(samples)
        made = (life_s, hops, began_s, frame.sequence, seen_s, first, count, stacks.index(sounding))
        mixed = controls if controls.pans == (pans := sounding.pans(controls)) else replace(controls, pans=pans)
        # Told before it can be heard: whenever this process is killed, all that was heard can be made again.
        segment.made.add(
            made, mixed, inputs, sounding.channels, left, blend=sounding.blend, leaving=of_leaving, effects=settings
        )
        if samples is not None:
            writer.write(samples, seen_s)
        for fired in crossfader.fired:
            _carry_out(segment, fired, sounds_s)
        for slot in sounding.slots:
            if notices := slot.mapping.notices:
                if new := [line for line in notices if line not in said]:
                    process_state.remark("; ".join(new) + " (said once)")
                    said.update(new)
                notices.clear()
        for told in (set_effects.notices, effects.notices):
            for line in told:
                process_state.remark(line)
            told.clear()
        hops += 1
        ended_s = now_s()
        real_time.hop(ended_s)
        segment.synthesis.hop(ended_s - began_s, HOP, crossfader.channels)
        segment.synthesis.set_features(features)
        segment.synthesis.set_styles(sounding.slots[0].blend.weights)
        segment.synthesis.set_loop(effects.loop)


def _without_effects(snapshot: Snapshot) -> Snapshot:
    return snapshot[0], {name: array for name, array in snapshot[1].items() if name not in STATES}


def _unsent(mapping: Mapping, sends: Sequence[str]) -> list[str]:
    """A line for what triggers of the mapping would send and nobody takes, or wait for and nobody gives."""
    wanted = {
        ("osc" if message.address else "midi"): trigger.name
        for trigger in mapping.triggers.triggers
        for message in trigger.messages
    }
    options = {"osc": "--osc-out HOST:PORT", "midi": "--midi-out NAME"}
    quantized = [trigger.name for trigger in mapping.triggers.triggers if trigger.quantize]
    return [
        f"trigger {name} sends {kind.upper()} nowhere: {options[kind]} says where"
        for kind, name in wanted.items()
        if kind not in sends
    ] + [
        f"trigger {name} waits for no beat: --link gives one, or a MIDI clock that comes in at --midi NAME"
        for name in quantized[:1]
        if "beat" not in sends
    ]


def _carry_out(segment: Segment, fired: Fired, sounds_s: float) -> None:
    """What a trigger asks of the supervisor, and what it sends. Nobody is waited for. sounds_s: when the hop is heard,
    which is when what goes by the beat is sent."""
    for request in fired.trigger.requests:
        segment.triggered.ask(request)
    due_s = sounds_s if fired.trigger.quantize else 0.0
    for message in fired.trigger.messages:
        own = message.value if message.value is not None else fired.value
        segment.outbox.put(replace(message, value=min(max(own, -LARGEST), LARGEST), due_s=due_s))


def _catch_up(
    segment: Segment, stream: FeatureStream, events: EventInputs, further: Sequence[Dancer], hop_s: float
) -> Float32:
    """The last second's poses go through features and events, which sounded already. The inputs of the last hop."""
    for row in segment.poses.last(PAST_POSES):
        if row["capture_s"] > now_s() - PAST_POSES_S:
            frame = pose_of(row)
            events.update(frame, float(stream.update(frame)[JUMP]))
            for dancer in further:
                dancer.update(frame)
    caught_up_s = now_s()
    events.step(stream.at(caught_up_s), hop_s)
    for dancer in further:
        dancer.step(caught_up_s, hop_s)
    for each in (events, *further):
        each.silence()
    made = segment.hops.last(1)
    return made["sources"][0][: int(made["source_count"][0])].copy() if len(made) else np.zeros(0, np.float32)


def _writer(segment: Segment, model_rate: int) -> HopWriter:
    """For the audio device that is there now; what was written for another one goes nowhere."""
    writer = HopWriter(segment.ring, model_rate, segment.device_rate)
    segment.ring.set_pace(writer.rate, segment.device_block)
    segment.synthesis.set_rate(writer.rate)
    return writer
