"""Sequences of hits to train a percussion model on: single recorded hits -> clips whose channels say what hits when.

In: a folder of recordings with a manifest.csv (columns file, articulation, dynamic). Out: a corpus with one track,
"controls": the envelopes that livemove.body.triggers gives for each limb, and the variation. Seeded: the same corpus
everywhere. Knows no network and no terminal.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy import signal
from scipy.fft import next_fast_len

from livemove.body.triggers import (
    HITS,
    REFRACTORY_S,
    TAKES,
    VARIATION,
    WEAKEST,
    decayed,
    variation,
    within_take,
)
from livemove.bundle import NO_ARRAYS
from livemove.contracts import HOP, Channel, Float32, Float64, LivemoveError
from training.data.corpus import Clip, Writer, replace_file, write_clip

RATE = 48000
HOP_S = HOP / RATE
UNIT = "hit 0..1"
"""The unit that tells a channel of hits from others."""

CHANNELS = (*(Channel(name, UNIT, 0.0, 1.0, 0.0) for name in HITS), Channel(VARIATION, "take 0..1", 0.0, 1.0, 0.0))
"""The last one says which of the recordings a hit is: the model need not guess the first milliseconds of a hit (and so
blur them), and is as varied as what plays the channel."""

ATTACK = 64
"""Samples from the start of the hop in which a channel rises to the onset of its sound: 1.3 ms, so that what the filter
bank smears ahead of it (80 samples of small values) stays in that hop."""

LONGEST_S = 0.5
FADE_S = 0.08
"""Hits die away from 0.2 s on with this time constant, if not sooner by themselves, and are silent after LONGEST_S."""

PEAK = 0.4
"""Of the hardest hit."""

RANGE_DB = 20.0
"""The softest hit is so far below the hardest."""

DETUNED = 0.03
"""Where a layer has one recording only, variation plays it slower or faster by up to this share."""

HARD = 0.55
"""Strength above which the hard recordings take over from the soft ones."""


@dataclass(frozen=True)
class Layer:
    """Recordings that sound together in a hit: articulations (soft and hard by `dynamic`), level, high-pass."""

    articulations: tuple[str, ...]
    soft: tuple[str, ...] = ("vl1",)
    hard: tuple[str, ...] = ("vl2",)
    level_db: float = 0.0
    highpass_hz: float = 40.0
    decay_s: float = math.inf
    """Time constant with which it is damped from its onset on: of a drum that rings as loud as it is struck."""
    files: tuple[str, ...] = ()
    """Names of single files instead of articulations, (soft, hard)."""


SHOE_DB, DRUM_DB, DRUM_S = -3.0, -3.0, 0.04
"""Of a foot: the shoe on the floor, and a drum under it, so short that a foot, too, is loudest as it strikes."""

FAMILIES: dict[str, tuple[Layer, ...]] = {
    "left_hand": (Layer(("chestside_l", "chestside_r")),),
    "right_hand": (Layer(("shoulderout_l", "shoulderout_r"), highpass_hz=120.0),),
    # The floor's 30 Hz comes 0.1 s after the shoe and is heard by no loudspeaker of a laptop: shoe and a drum instead.
    "left_foot": (
        Layer(("stomp_l",), level_db=SHOE_DB, highpass_hz=300.0),
        Layer((), files=("drum_bass_soft", "drum_bass_hard"), level_db=DRUM_DB, highpass_hz=50.0, decay_s=DRUM_S),
    ),
    "right_foot": (
        Layer(("stomp_r",), level_db=SHOE_DB, highpass_hz=300.0),
        Layer((), files=("drum_tom_mid_soft", "drum_tom_mid_hard"), level_db=DRUM_DB, decay_s=DRUM_S),
    ),
    "clap": (Layer(("handclap",), highpass_hz=120.0),),
    "landing": (
        Layer(("halfstomp_l",), level_db=SHOE_DB, highpass_hz=300.0),
        Layer((), files=("drum_tom_lo_soft", "drum_tom_lo_hard"), level_db=DRUM_DB, decay_s=DRUM_S),
    ),
}
"""What each limb sounds like."""

KIT = "kit.npz"
"""Beside the clips of a corpus: the single hits it was made of."""

FOLDERS = ("body_percussion", "sonic_pi_percussion")


@dataclass(frozen=True)
class Sound:
    """Recordings of one layer and dynamic, float32 [samples] each, the median peak of all at 1, dull ones first; level:
    amplitude. valid: those that are held out, the same as train where there is only one.
    """

    level: float
    train: tuple[Float32, ...]
    valid: tuple[Float32, ...]

    def take(self, variation: float, held_out: bool) -> Float32:
        """The recording that a variation 0..1 stands for."""
        takes = self.valid if held_out else self.train
        if len(takes) == 1:
            return at_speed(takes[0], 1.0 + DETUNED * (2.0 * variation - 1.0))
        return takes[min(int(variation * TAKES), TAKES - 1) % len(takes)]


Kit = dict[str, tuple[tuple[Sound, Sound], ...]]
"""Per channel, per layer: (soft, hard)."""


# --- single hits --------------------------------------------------------------------------------------------


def load_kit(voices: Path) -> Kit:
    """Every family's recordings, aligned, cut and filtered. Raises LivemoveError naming what is missing."""
    rows = _manifest(voices)
    kit: Kit = {}
    for name, layers in FAMILIES.items():
        kit[name] = tuple((_sound(voices, rows, layer, 0), _sound(voices, rows, layer, 1)) for layer in layers)
    return kit


def _manifest(voices: Path) -> list[dict[str, str]]:
    path = voices / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row["file"].split("/")[0] in FOLDERS]
    except (OSError, KeyError) as error:
        raise LivemoveError(f"{path}: not a list of hits (columns file, articulation, dynamic): {error}") from error
    return sorted(rows, key=lambda row: row["file"])


def _sound(voices: Path, rows: Sequence[dict[str, str]], layer: Layer, hard: int) -> Sound:
    if layer.files:
        files = [row["file"] for row in rows if Path(row["file"]).stem == layer.files[hard]]
    else:
        dynamics = (layer.soft, layer.hard)[hard]
        files = [r["file"] for r in rows if r["articulation"] in layer.articulations and r["dynamic"] in dynamics]
    if not files:
        raise LivemoveError(f"{voices}: no recordings of {', '.join(layer.articulations or layer.files)}")
    single = [single_hit(*_read(voices / file), layer.highpass_hz, layer.decay_s) for file in files]
    unit = float(np.median([np.abs(hit).max() for hit in single]))
    takes = tuple((hit / unit).astype(np.float32) for hit in single)
    held = max(len(takes) // 4, 1) if len(takes) > 1 else 0
    train, valid = takes[: min(len(takes) - held, TAKES)], takes[-held:] if held else takes
    return Sound(10 ** (layer.level_db / 20), *(tuple(sorted(part, key=_centre_hz)) for part in (train, valid)))


def _centre_hz(hit: Float32) -> float:
    """Spectral centroid of a hit's first 50 ms."""
    power = np.abs(np.fft.rfft(hit[: round(0.05 * RATE)], round(0.05 * RATE))) ** 2
    return float((power * np.fft.rfftfreq(round(0.05 * RATE), 1 / RATE)).sum() / power.sum())


def _read(path: Path) -> tuple[Float64, int]:
    """The first channel: the others are another microphone elsewhere, and their sum a comb filter."""
    try:
        audio, rate = sf.read(path, always_2d=True)
    except (OSError, RuntimeError) as error:
        raise LivemoveError(f"{path}: cannot be read: {error}") from error
    return audio[:, 0], rate


def single_hit(audio: Float64, rate: int, highpass_hz: float, decay_s: float = math.inf) -> Float64:
    """One hit float64 [samples] at RATE, from its onset on, at most LONGEST_S long, damped, faded to nothing."""
    if rate != RATE:
        common = math.gcd(rate, RATE)
        audio = signal.resample_poly(audio, RATE // common, rate // common)
    audio = signal.sosfiltfilt(signal.butter(2, highpass_hz, "highpass", fs=RATE, output="sos"), audio)
    start = onset(audio)
    rise = min(start, 24)
    hit = audio[start - rise : start + round(LONGEST_S * RATE)].copy()
    hit[:rise] *= np.sin(0.5 * np.pi * (np.arange(rise) + 0.5) / max(rise, 1)) ** 2
    seconds = np.arange(len(hit)) / RATE
    hit *= np.exp(-np.maximum(seconds - 0.2, 0.0) / FADE_S - seconds / decay_s)
    tail = min(len(hit), 960)
    hit[-tail:] *= np.cos(0.5 * np.pi * (np.arange(tail) + 1) / tail) ** 2
    return hit


def onset(audio: Float64, below_db: float = 15.0) -> int:
    """First sample of the attack: where the envelope (0.5 ms RMS) comes within below_db of what it reaches in the 10 ms
    after that; noise and handling ahead of the hit stay below."""
    envelope = np.sqrt(signal.lfilter(np.ones(24) / 24, 1.0, audio**2))
    peak = float(np.abs(envelope).max())
    return max(int(np.argmax(envelope > peak * 10 ** (-below_db / 20))) - 12, 0)


def at_speed(hit: Float32, ratio: float) -> Float32:
    """The hit played faster or slower, and so higher or lower: to the nearest length that transforms quickly."""
    if ratio == 1.0:
        return hit
    return signal.resample(hit, next_fast_len(round(len(hit) / ratio), real=True)).astype(np.float32)


def save_kit(kit: Kit, path: Path) -> None:
    """For `open_kit`: so that a corpus can be compared with the recordings it was made of."""
    arrays: dict[str, np.ndarray] = {}
    for name, layers in kit.items():
        for i, pair in enumerate(layers):
            for hard, sound in enumerate(pair):
                arrays[f"{name}/{i}/{hard}/level"] = np.float64(sound.level)
                for split, takes in (("train", sound.train), ("valid", sound.valid)):
                    arrays |= {f"{name}/{i}/{hard}/{split}/{n:02d}": take for n, take in enumerate(takes)}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    replace_file(path, packed.getvalue())


def open_kit(root: Path) -> Kit:
    """The kit that a corpus was made of. Raises LivemoveError."""
    path = root / KIT
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, np.ndarray] = dict(file)
    except NO_ARRAYS as error:
        raise LivemoveError(f"{path}: cannot be read ({error}); make it with training/corpora/hits.py") from error

    def sound(place: str) -> Sound:
        train, valid = (
            tuple(arrays[key] for key in sorted(arrays) if key.startswith(f"{place}/{split}/"))
            for split in ("train", "valid")
        )
        return Sound(float(arrays[f"{place}/level"]), train, valid)

    return {
        name: tuple((sound(f"{name}/{i}/0"), sound(f"{name}/{i}/1")) for i in range(len(layers)))
        for name, layers in FAMILIES.items()
    }


# --- sequences ----------------------------------------------------------------------------------------------


def due(rng: np.random.Generator, hops: int) -> Float32:
    """Strengths float32 [hops, hits] of the hits of a clip, 0 where nothing hits: passages of every kind in turn."""
    found = np.zeros((hops, len(HITS)), np.float32)
    at = round(rng.uniform(0.0, 0.4) / HOP_S)
    while at < hops:
        length = round(rng.uniform(1.2, 3.5) / HOP_S)
        kind = rng.choice(5, p=(0.25, 0.3, 0.2, 0.15, 0.1))
        for seconds, which, strength in _PASSAGES[kind](rng, length * HOP_S):
            hop = at + round(seconds / HOP_S)
            if 0 <= hop < min(at + length, hops):
                found[hop, which] = min(max(strength, WEAKEST), 1.0)
        at += length + round(rng.choice([0.0, rng.uniform(0.6, 2.0)], p=(0.7, 0.3)) / HOP_S)
    wait = math.ceil(REFRACTORY_S / HOP_S)
    for column in found.T:
        last = -wait
        for hop in np.flatnonzero(column):
            if hop - last < wait:
                column[hop] = 0.0
            else:
                last = hop
    return found


Passage = Iterator[tuple[float, int, float]]
"""(seconds from its start, which hit, strength)."""


def _sparse(rng: np.random.Generator, seconds: float) -> Passage:
    """Single hits, each left to die away."""
    at = rng.uniform(0.0, 0.3)
    while at < seconds:
        yield at, int(rng.integers(len(HITS))), float(rng.uniform(WEAKEST, 1.0))
        at += rng.uniform(0.45, 1.2)


def _groove(rng: np.random.Generator, seconds: float) -> Passage:
    """A pattern of sixteen steps, repeated, with accents, human timing and now and then a step left out."""
    step = 60.0 / rng.uniform(70.0, 150.0) / rng.choice([2, 4])
    swing = rng.uniform(0.0, 0.15)
    pattern = rng.random((16, len(HITS))) < rng.choice([0.06, 0.15, 0.3], len(HITS))
    accents = rng.uniform(0.3, 1.0, (16, len(HITS)))
    for i in range(math.ceil(seconds / step)):
        for which in np.flatnonzero(pattern[i % 16] & (rng.random(len(HITS)) < 0.9)):
            late = (i % 2) * swing * step + 0.008 * rng.standard_normal()
            yield i * step + late, int(which), float(accents[i % 16, which] + 0.1 * rng.standard_normal())


def _dense(rng: np.random.Generator, seconds: float) -> Passage:
    """Anything at any time, up to sixteen hits a second."""
    rate = rng.uniform(5.0, 16.0)
    for _ in range(rng.poisson(rate * seconds)):
        yield float(rng.uniform(0.0, seconds)), int(rng.integers(len(HITS))), float(rng.uniform(WEAKEST, 1.0))


def _roll(rng: np.random.Generator, seconds: float) -> Passage:
    """One limb, or two in turn, as fast as they can, rising or falling."""
    limbs = rng.choice(len(HITS), 2, replace=False)
    period = rng.uniform(REFRACTORY_S, 0.3) / 2
    first, last = rng.uniform(WEAKEST, 1.0, 2)
    alone = rng.random() < 0.5
    for i in range(int(seconds / period)):
        strength = first + (last - first) * i * period / seconds + 0.06 * rng.standard_normal()
        if not (alone and i % 2):
            yield i * period + 0.004 * rng.standard_normal(), int(limbs[0 if alone else i % 2]), float(strength)


def _together(rng: np.random.Generator, seconds: float) -> Passage:
    """Two or three limbs in the same hop, or nearly."""
    at = rng.uniform(0.0, 0.3)
    while at < seconds:
        apart = rng.choice([0.0, 0.015])
        for which in rng.choice(len(HITS), rng.integers(2, 4), replace=False):
            yield at + apart * rng.random(), int(which), float(rng.uniform(WEAKEST, 1.0))
        at += rng.uniform(0.3, 0.9)


_PASSAGES = (_sparse, _groove, _dense, _roll, _together)


def envelopes(strengths: Float32) -> Float32:
    """float32 [hops, hits]: what the channels are, as on stage, for hits of these strengths [hops, hits]."""
    out = np.empty_like(strengths)
    value = np.zeros(strengths.shape[1], np.float32)
    for hop, row in enumerate(strengths):
        decayed(value, row, HOP_S)
        out[hop] = value
    return out


def live_variations(strengths: Float32) -> Float32:
    """float32 [hops]: what `livemove.body.triggers` plays of hits [hops, hits]."""
    count = np.cumsum((strengths > 0.0).any(axis=1))
    return np.array([variation(int(n)) for n in count], np.float32)


def drawn_variations(strengths: Float32, rng: np.random.Generator) -> Float32:
    """float32 [hops]: a random number (`within_take`) for each hop that hits, held until the next; 0 before any."""
    count = np.cumsum((strengths > 0.0).any(axis=1))
    places = rng.random(int(count[-1]) + 1 if len(count) else 1)
    drawn = np.array([within_take(place) for place in places.tolist()])
    drawn[0] = 0.0
    return drawn[count].astype(np.float32)


def channels(strengths: Float32, variations: Float32) -> Float32:
    """float32 [hops, CHANNELS] of hits [hops, hits] and their variations [hops]."""
    return np.concatenate([envelopes(strengths), variations[:, None]], axis=1)


def gain(strength: float) -> float:
    """Amplitude of a hit against the hardest."""
    return PEAK * 10 ** (-RANGE_DB / 20 * (1.0 - strength) / (1.0 - WEAKEST))


def one(kit: Kit, name: str, strength: float, variation: float, held_out: bool) -> Float32:
    """A hit float32 [samples] of that limb, as it is mixed into a clip from sample ATTACK of its hop on."""
    layers = [pair[strength > HARD] for pair in kit[name]]
    parts = [(layer.level, layer.take(variation, held_out)) for layer in layers]
    out = np.zeros(max(len(part) for _, part in parts), np.float32)
    for level, part in parts:
        out[: len(part)] += level * part
    return gain(strength) * out


def mixed(kit: Kit, strengths: Float32, variations: Float32, held_out: bool) -> Float32:
    """Audio float32 [hops * HOP] of hits of these strengths [hops, hits] and variations [hops]."""
    audio = np.zeros(len(strengths) * HOP, np.float32)
    for hop, which in np.argwhere(strengths > 0.0):
        at = int(hop) * HOP + ATTACK
        hit = one(kit, HITS[which], float(strengths[hop, which]), float(variations[hop]), held_out)
        hit = hit[: max(len(audio) - at, 0)]
        audio[at : at + len(hit)] += hit
    return audio


# --- the corpus ---------------------------------------------------------------------------------------------


def prepare(voices: Path, root: Path, clips: int, seconds: float, seed: int = 0) -> Iterator[Clip]:
    """Write the corpus at root, clip by clip; every tenth is for validation, played on recordings of its own.

    Raises LivemoveError: recordings that are missing, or a folder that cannot be written.
    """
    kit = load_kit(voices)
    writer = Writer(root, RATE, "none", {"controls": CHANNELS})
    hops = round(seconds / HOP_S)
    try:
        for i in range(clips):
            held_out = i % 10 == 9
            rng = np.random.default_rng((seed, held_out, i))
            strengths = due(rng, hops)
            variations = drawn_variations(strengths, rng)
            audio = mixed(kit, strengths, variations, held_out)
            scale = min(1.0, 0.99 / float(np.abs(audio).max(initial=1e-9)))
            clip = Clip(
                "valid" if held_out else "train", "drums", f"hits_{i:04d}", f"seed {seed}, clip {i}", hops=hops,
                tracks=("controls",), seconds=hops * HOP_S, gain=scale,
                level_dbfs=20 * math.log10(max(float(np.sqrt(np.mean(audio**2))), 1e-6)),
            )  # fmt: skip
            write_clip(root, clip, scale * audio, RATE, {"controls": channels(strengths, variations)})
            writer.record(clip)
            yield clip
    finally:
        writer.close()
    save_kit(kit, root / KIT)
