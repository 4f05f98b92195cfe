"""What the parts of livemove agree on: start reading here.

Model specification and weight shapes, pose frames, controls, health counters, the Engine protocol and the
error tree. Plain data; imports numpy, the standard library and controls.py (what can be
steered) only, and knows of no process, device or file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livemove.controls import LOOK_AHEAD_MS, MAX_LAYERS, SNAP_AS_MAPPED, STYLE_WEIGHTS
from livemove.controls import MAX_DANCERS as MAX_DANCERS
from livemove.controls import Action as Action

HOP = 256
"""Samples per hop. Channels, style and controls are constant inside a hop; generation is always whole hops."""

FORMAT_VERSION = 2
"""Version of the bundle format this code writes, and the newest it reads."""

LANDMARKS = 33
"""Landmarks per person in MediaPipe's pose topology."""

MAX_PEOPLE = 4

MAX_BLEND = len(STYLE_WEIGHTS)
"""Styles that can be blended: a model of more plays them one at a time."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


# --- errors -------------------------------------------------------------------------------------------------


class LivemoveError(Exception):
    """Something the person at the keyboard can mend; the message says what is wrong and what to do."""


class BundleError(LivemoveError):
    """A model folder that cannot be trusted; the message names the file, the field and what was expected."""


class CameraError(LivemoveError):
    """A camera, video file or URL that gives no image; the message names it."""


class PoseModelError(LivemoveError):
    """The pose landmarker's file is missing, cannot be fetched or has the wrong sha256."""


class MappingError(LivemoveError):
    """A mapping.toml that does not fit; the message names the channel and the entry."""


class EngineError(LivemoveError):
    """An engine that is not available here or failed its golden vector."""


class DeviceError(LivemoveError):
    """An audio device that is unknown, or refuses the rate or block; the message names it."""


class MissingDeviceError(DeviceError):
    """No audio device at all on this machine, or no PortAudio to reach one by."""


class AbsentDeviceError(DeviceError):
    """An audio device that was named and is not there; it may come."""


class TakeError(LivemoveError):
    """A recorded take that cannot be read or played again; the message names the file."""


class OutputError(LivemoveError):
    """A file or folder that cannot be written."""


class ControlError(LivemoveError):
    """An OSC address, a MIDI port or a preset that cannot be used; the message names it."""


class CalibrationError(LivemoveError):
    """A body's range of motion that could not be taken: nobody was seen, or nothing moved."""


class PostureError(LivemoveError):
    """A posture that could not be taken from who showed it, or whose file cannot be used; the message names it."""


class DisplayError(LivemoveError):
    """No window can be shown: Qt is not installed, or there is no display."""


# --- the model ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Channel:
    """One named control input of a model, in natural units.

    The engine normalises it to -1..1 over minimum..maximum before the network sees it; values outside are clipped.
    rest is the value with nobody on stage.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    rest: float


@dataclass(frozen=True)
class Phase:
    """Running phase of a pitch channel, given to the network's input as sines and cosines.

    channel: name of a channel in MIDI note numbers (69 = 440 Hz). harmonics: how many multiples of the phase.
    The engine integrates it step by step in float64; it is part of its state. A source excitation, as in the neural
    source-filter model (Wang, Takaki & Yamagishi 2019), at step rate.
    """

    channel: str
    harmonics: int


@dataclass(frozen=True)
class HarmonicPath:
    """An additive path beside the network: the harmonics of the phase, through the filter bank's own response.

    Harmonics plus noise with a learned spectrum, as in DDSP (Engel et al. 2020), but in the bands of a WaveNet: a small
    network per hop gives every harmonic's amplitude, the sum through the analysis filters is added to the means of the
    mixture, and the WaveNet hears and learns what is left: a tone never passes through its nonlinearities, so it cannot
    fold over at the step rate. Needs a `Phase`, and bands.

    harmonics: how many multiples of the phase. hidden: width of the network's two hidden layers. level: name of a
    channel like "loudness", the square root of the RMS over LEVEL: amplitudes are in units of that RMS; "": of 1.
    """

    harmonics: int
    hidden: int
    level: str


@dataclass(frozen=True)
class Gate:
    """Silence at rest: the sound fades out linearly while a channel falls from `full` to `closed`.

    It scales what the network emitted on its way into the filter bank, hop by hop; the network itself plays on.
    """

    channel: str
    closed: float
    full: float


LEVEL = 0.25
"""RMS of a tone at loudness 1: a loudness channel is sqrt(RMS / LEVEL)."""

PITCH_OCTAVES = 5
"""The harmonic path sees the normalised pitch p also as sin and cos of pi p 2^i, i = 0..4."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that fixes a WaveNet's arithmetic except the weights (van den Oord et al. 2016).

    head "mulaw": one band, a softmax over `classes` mu-law levels. head "logistic": a mixture of `mixtures`
    logistics per band. Each step consumes the step before it and emits `bands` samples.
    """

    name: str
    sample_rate: int
    bands: int
    head: str
    classes: int
    mixtures: int
    residual: int
    skip: int
    hidden: int
    dilations: tuple[int, ...]
    conditioning: int
    channels: tuple[Channel, ...]
    styles: tuple[str, ...]
    phase: Phase | None
    pqmf_taps: int
    temperature: float
    harmonic_path: HarmonicPath | None = None
    gate: Gate | None = None

    @property
    def steps_per_hop(self) -> int:
        return HOP // self.bands

    @property
    def step_rate(self) -> float:
        """Network steps per second."""
        return self.sample_rate / self.bands

    @property
    def layers(self) -> int:
        return len(self.dilations)

    @property
    def receptive_field(self) -> int:
        """In steps: the dilated stack plus the width-2 input convolution."""
        return 2 + sum(self.dilations)

    @property
    def symbols(self) -> int:
        """Rows of one input tap: one per band, or one per mu-law class (an embedding)."""
        return self.classes if self.head == "mulaw" else self.bands

    @property
    def phase_width(self) -> int:
        return 2 * self.phase.harmonics if self.phase else 0

    @property
    def path_width(self) -> int:
        """Sines and cosines that the harmonic path sums up."""
        return 2 * self.harmonic_path.harmonics if self.harmonic_path else 0

    @property
    def parameters(self) -> int:
        """Width of the distribution the head emits per step.

        mulaw: [classes] logits. logistic: [bands, 3, mixtures] flattened: logits, means, log scales.
        """
        return self.classes if self.head == "mulaw" else self.bands * 3 * self.mixtures

    @property
    def noise_width(self) -> int:
        """Uniform numbers per step. mulaw: 1. logistic: bands for the component, then bands for the value."""
        return 1 if self.head == "mulaw" else 2 * self.bands

    @property
    def channel_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.channels)


def weight_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a model. Matrices are [in, out]: y = x @ w + b.

    conditioner   e = tanh(c @ conditioner.weight + conditioner.bias + style.embedding[style]); c in -1..1, once a hop
    input         h = x[t-2] @ input.weight[0] + x[t-1] @ input.weight[1] + p[t] @ input.phase
                      + m[t] @ input.harmonics + input.bias;  x: network values, less m where there is a harmonic path
    layer l       z = h[t-d] @ past[l] + h[t] @ now[l] + e @ condition[l] + bias[l];  g = tanh(z[:R]) * sigmoid(z[R:])
                  s += g @ skip[l];  h += g @ residual[l] + residual_bias[l]   (the last layer has no residual)
    head          y = relu(relu(s + skip.bias) @ head.weight_1 + head.bias_1) @ head.weight_2 + head.bias_2
    bands.scale   logistic only: band signal = network value * scale, network values clipped to -1..1
    harmonics     harmonic path, once a hop: a = [w_1 h, w_2 h ...] @ weight_3 + bias_3, times the level, for
                      h = relu(relu([e, f] @ weight_1 + bias_1) @ weight_2 + bias_2); f: the pitch's octaves; w_s: the
                      weight of style s (a model of one or no style: 1), so that amplitudes blend in straight lines if
                      h is the same for all styles. See synthesis/harmonic_path.py for m[t] [bands], which is added to
                      the means of all mixture components
    """
    n, r, s, a, e = spec.layers, spec.residual, spec.skip, spec.hidden, spec.conditioning
    shapes: dict[str, tuple[int, ...]] = {
        "conditioner.weight": (len(spec.channels), e),
        "conditioner.bias": (e,),
        "style.embedding": (max(len(spec.styles), 1), e),
        "input.weight": (2, spec.symbols, r),
        "input.bias": (r,),
        "layers.past": (n, r, 2 * r),
        "layers.now": (n, r, 2 * r),
        "layers.condition": (n, e, 2 * r),
        "layers.bias": (n, 2 * r),
        "layers.residual": (n - 1, r, r),
        "layers.residual_bias": (n - 1, r),
        "layers.skip": (n, r, s),
        "skip.bias": (s,),
        "head.weight_1": (s, a),
        "head.bias_1": (a,),
        "head.weight_2": (a, spec.parameters),
        "head.bias_2": (spec.parameters,),
    }
    if spec.phase:
        shapes["input.phase"] = (spec.phase_width, r)
    if spec.head == "logistic":
        shapes["bands.scale"] = (spec.bands,)
    if spec.harmonic_path:
        hidden = spec.harmonic_path.hidden
        shapes |= {
            "input.harmonics": (spec.bands, r),
            "harmonics.weight_1": (e + 2 * PITCH_OCTAVES, hidden),
            "harmonics.bias_1": (hidden,),
            "harmonics.weight_2": (hidden, hidden),
            "harmonics.bias_2": (hidden,),
            "harmonics.weight_3": (max(len(spec.styles), 1) * hidden, spec.path_width),
            "harmonics.bias_3": (spec.path_width,),
        }
    return shapes


Weights = dict[str, Float32]


@dataclass
class EngineState:
    """All an engine remembers between hops, in one canonical order (oldest first), so that engines can hand over.

    inputs   float32 [2, bands]: x[t-2], x[t-1] in network values (mulaw: the class index), less the harmonic path's
             share
    queues   float32 [sum(dilations), residual]: layer 0's last `d` layer inputs, then layer 1's ...
    overlap  float32 [pqmf_taps // bands - 1, bands]: past network values, gated, that the PQMF synthesis still needs
             (mulaw: [0, 1])
    phase    float64 [1]: running phase in cycles, 0..1
    amplitudes  float32 [2 * harmonics of the path]: what the harmonic path's amplitudes were in the hop before
    """

    inputs: Float32
    queues: Float32
    overlap: Float32
    phase: Float64
    amplitudes: Float32


def initial_state(spec: ModelSpec) -> EngineState:
    """The state after `reset()`: silence behind, phase 0."""
    inputs = np.zeros((2, spec.bands), np.float32)
    if spec.head == "mulaw":
        inputs[:] = spec.classes // 2
    overlap_steps = spec.pqmf_taps // spec.bands - 1 if spec.bands > 1 else 0
    return EngineState(
        inputs=inputs,
        queues=np.zeros((sum(spec.dilations), spec.residual), np.float32),
        overlap=np.zeros((overlap_steps, spec.bands), np.float32),
        phase=np.zeros(1, np.float64),
        amplitudes=np.zeros(spec.path_width, np.float32),
    )


@dataclass
class Trace:
    """What an engine computed on the way, for parity tests: preallocated, filled by `generate` when given.

    values      float32 [steps, bands]: the network values it sampled (mulaw: class index)
    parameters  float32 [steps, spec.parameters]: the distribution it sampled them from
    """

    values: Float32
    parameters: Float32

    @staticmethod
    def empty(spec: ModelSpec, hops: int) -> Trace:
        steps = hops * spec.steps_per_hop
        return Trace(np.empty((steps, spec.bands), np.float32), np.empty((steps, spec.parameters), np.float32))


class Engine(Protocol):
    """A streaming WaveNet generator: one of synthesis/{reference,native,onnx,cuda}.py."""

    name: str
    spec: ModelSpec

    def reset(self) -> None:
        """Back to `initial_state`."""

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int | Float32 = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
    ) -> None:
        """Fill out, float32 [hops * HOP] in -1..1 or a little beyond, with the next hops of audio.

        channels float32 [hops, C] in natural units; noise float32 [hops * steps_per_hop, noise_width], uniform in 0..1,
        drawn by the caller so that engines can be compared sample by sample. Arrays are C-contiguous. style: its index,
        or float32 [styles], the weight of each style's embedding (they need not sum to 1).
        """

    def state(self) -> EngineState: ...

    def set_state(self, state: EngineState) -> None: ...


# --- the body -----------------------------------------------------------------------------------------------


@dataclass
class PoseFrame:
    """What the landmarker saw in one camera frame.

    capture_s   when the frame reached us, on the clock of `exchange.now_s`
    sequence    counts frames used, from 0
    people      places in use, 0..MAX_PEOPLE. Place k is dancer k + 1 for as long as they can be told from each other;
                one who is out of sight while a later one is in view has visibility 0 there. With one dancer: how many
                were found, and the first is the one who plays
    image       float32 [MAX_PEOPLE, 33, 3]: x, y in 0..1 of the image (y down), z in the same scale
    world       float32 [MAX_PEOPLE, 33, 3]: metres, hip-centred (y down)
    visibility  float32 [MAX_PEOPLE, 33]: 0..1
    """

    capture_s: float = 0.0
    sequence: int = -1
    people: int = 0
    image: Float32 = field(default_factory=lambda: np.zeros((MAX_PEOPLE, LANDMARKS, 3), np.float32))
    world: Float32 = field(default_factory=lambda: np.zeros((MAX_PEOPLE, LANDMARKS, 3), np.float32))
    visibility: Float32 = field(default_factory=lambda: np.zeros((MAX_PEOPLE, LANDMARKS), np.float32))

    def shows(self, dancer: int) -> bool:
        """Whether that dancer, counted from 0, is in view."""
        return dancer < self.people and bool(self.visibility[dancer].any())

    @property
    def in_view(self) -> int:
        """How many dancers are."""
        return sum(self.shows(dancer) for dancer in range(self.people))


# --- steering and health ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Controls:
    """What a performer can steer while playing. The supervisor writes them, everybody may read them.

    gain          linear
    temperature   factor on the model's own
    style         index of the one that plays, if `styles` says nothing; 0: as the mapping says, else the first. A model
                  that has not so many plays its first
    styles        weight 0..1 of each style, set by hand: what plays is their blend, whatever they sum to; missing ones
                  and a model's further styles have 0; all 0 or (): see style
    mute          silence at the output; everything else goes on
    freeze        the channels hold, however the body moves
    octave        added to the range of a pitch channel, as far as the model can play it
    scale         0: as the mapping says; n: the n-th of body.notes.SCALES
    root          0: as the mapping says; 1..12: C..B
    look_ahead_s  how far the body is predicted beyond the newest pose, at most; 0: not at all
    model         index in the set of models that are loaded
    preset        0: none; n: the n-th of the set list
    panics        counts those that are answered: with each new one the models forget all they have played
    reloads       counts: with each new one the mapping files are read again
    learn         Action the next knob that moves is to play; 0: none
    swap_hands    what the left hand, foot or limb plays the right one plays, and the reverse
    snap          how closely a scale holds the pitch: 0 it glides, 1 it steps; below 0: as the mapping says
    gains, pans   of each layer of what plays: a factor, and its place from -1 (left) to 1 (right)

    Of the effects (synthesis/effects.py):

    reverb, delay  how much of the sound is sent there, 0..1; 0: dry
    reverb_decay_s, reverb_damping  time to fall by 60 dB at low frequencies; 0..1, how much sooner high ones do
    delay_time_ms, delay_beats  until it comes back; in beats (not 0) where there is a tempo
    delay_feedback  share of it that goes in again
    tempo         beats a minute where nobody else gives them (Link); below LOWEST_TEMPO: none
    loop_level    0..1, of the looper
    loop_quantize  one of LOOP_PARTS: its main pedal waits for the next multiple of so many beats; 0: for nothing
    loops, loop_undos, loop_stops, loop_clears  count what the looper was told: see LOOP_PRESSES
    """

    gain: float = 1.0
    temperature: float = 1.0
    style: int = 0
    mute: bool = False
    freeze: bool = False
    octave: int = 0
    scale: int = 0
    root: int = 0
    look_ahead_s: float = LOOK_AHEAD_MS / 1e3
    model: int = 0
    preset: int = 0
    panics: int = 0
    reloads: int = 0
    learn: int = 0
    styles: tuple[float, ...] = ()
    swap_hands: bool = False
    snap: float = SNAP_AS_MAPPED
    gains: tuple[float, ...] = (1.0,) * MAX_LAYERS
    pans: tuple[float, ...] = (0.0,) * MAX_LAYERS
    reverb: float = 0.0
    reverb_decay_s: float = 2.0
    reverb_damping: float = 0.5
    delay: float = 0.0
    delay_time_ms: float = 400.0
    delay_beats: float = 0.0
    delay_feedback: float = 0.4
    tempo: float = 0.0
    loop_level: float = 1.0
    loop_quantize: float = 0.0
    loops: int = 0
    loop_undos: int = 0
    loop_stops: int = 0
    loop_clears: int = 0


@dataclass(frozen=True)
class Request:
    """Something the performer asks of the supervisor, the one writer of `Controls`.

    amount: decibels for GAIN, the factor for TEMPERATURE, 0..1 for SNAP, milliseconds for LOOK_AHEAD, octaves for
    OCTAVE, places in their lists for STYLE, SCALE, ROOT, MODEL and PRESET, and in those of the `SupervisorStatus` for
    CAMERA and DEVICE. It is added to what is set, so that whoever asks need not know that; with absolute it is what to
    set. text: in place of that the camera or audio device by name, as the command line takes it or a list has it, for a
    trigger the preset or model, or the name of the preset that SAVE_PRESET keeps ("": a free one). MUTE, FREEZE, RECORD
    and SWAP_HANDS are switches: thrown, or absolutely on (not 0) or off (0). PANIC is silence at once, until MUTE is
    off (amount: how often it was asked for, 0 is once); RELOAD reads the mappings again; STYLE_1 .. STYLE_8 are weights
    of the model's styles; GAIN_1 .. GAIN_4 (decibels) and PAN_1 .. PAN_4 are a layer's; LOOP and its like press the
    looper's pedals; SAVE_LAST makes a take of what was just played; LEARN takes an Action, 0 to give up; STOP ends it
    all.
    """

    action: Action
    amount: float = 0.0
    absolute: bool = False
    text: str = ""


@dataclass(frozen=True)
class SentMessage:
    """What a trigger of a mapping sends: an OSC message with one number, a MIDI note or a program change.

    address: OSC's; "": it is MIDI. value: of the OSC message; None: that of the trigger's source. whole: it is sent as
    an integer, as those want it who count scenes or cues. note 0..127, velocity 1..127, for so many seconds; program
    0..127: this is sent in place of a note; -1: the note is.
    due_s: when it is sent, on the clock of `exchange.now_s`; 0: at once.
    """

    address: str = ""
    value: float | None = None
    whole: bool = False
    note: int = 0
    velocity: int = 100
    seconds: float = 0.2
    program: int = -1
    due_s: float = 0.0


@dataclass(frozen=True)
class SupervisorStatus:
    """What only the supervisor knows, a few times a second.

    written_s and playing_since_s on the clock of `exchange.now_s` (0: it does not play yet); restarts by role; notice:
    the newest line for the person; notices: how many there were, so that a repeated one is seen to be new;
    recording_since_s: when the take began that is recorded (0: none is); cameras, devices: what can be switched to, as
    text for `Request`; camera, device: the place of the one in use, or on its way (-1: it is in no list).
    """

    written_s: float = 0.0
    playing_since_s: float = 0.0
    restarts: dict[str, int] = field(default_factory=dict[str, int])
    notices: int = 0
    notice: str = ""
    recording_since_s: float = 0.0
    cameras: tuple[str, ...] = ()
    camera: int = -1
    devices: tuple[str, ...] = ()
    device: int = -1
