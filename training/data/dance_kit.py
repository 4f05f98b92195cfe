"""The sounds of each style and their mixdown: hits in, audio out, from one-shots that lie somewhere below a folder.

The files are found by name, .flac or .wav, so any way of unpacking their sources will do: the percussion is Sonic Pi's
(Debian's sonic-pi-samples), the plucked cello Karoryfer x bigcat's, the tuba Karoryfer's (sfzinstruments on GitHub),
all CC0. Knows no features and no network.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from livemove.contracts import HOP, Float32, LivemoveError
from training.data.dance_score import DELAY_HOPS, Hit

FADE_S = 0.06
CHOKE_S = 0.008
"""A voice struck again ends its last sound so quickly."""
ONSET_DB = -30.0
"""A one-shot begins where it first comes so near its peak, less PRE_S."""
PRE_S = 0.001


class KitError(LivemoveError):
    """A sound that a kit needs is not there; the message names it and the folder."""


@dataclass(frozen=True)
class Voice:
    """files: one by MIDI note (0: unpitched); others are reached from the nearest by resampling. seconds: cut to, with
    a fade; gain: its peak when struck hardest; soft: share of that when struck softest."""

    files: tuple[tuple[int, str], ...]
    seconds: float
    gain: float
    soft: float = 0.45


def _one(name: str) -> tuple[tuple[int, str], ...]:
    return ((0, name),)


TUBA = ((33, "a0_s_vl3_rr1_cnd"), (36, "c1_s_vl3_rr1_cnd"), (38, "d1_s_vl3_rr1_cnd"), (40, "e1_s_vl3_rr1_cnd"),
        (43, "g1_s_vl3_rr1_cnd"), (45, "a1_s_vl3_rr1_cnd"), (48, "c2_s_vl3_rr1_cnd"),
        (50, "d2_s_vl3_rr1_cnd"))  # fmt: skip
CELLO = ((45, "A1_1"), (48, "C2_3"), (51, "Eb2_1"), (54, "Gb2_1"), (57, "A2_1"), (60, "C3_1"), (63, "Eb3_1"),
         (66, "Gb3_1"), (69, "A3_2"), (72, "C4_1"))  # fmt: skip

KITS: dict[str, dict[str, Voice]] = {
    "breaks": {
        "kick": Voice(_one("bd_haus"), 0.25, 0.6),
        "low kick": Voice(_one("bd_tek"), 0.25, 0.5),
        "bass": Voice(TUBA, 0.35, 0.4),
        "snare": Voice(_one("drum_snare_hard"), 0.3, 0.5),
        "clap": Voice(_one("elec_hi_snare"), 0.2, 0.45),
        "open": Voice(_one("drum_cymbal_open"), 0.45, 0.35),
        "splash": Voice(_one("drum_splash_hard"), 0.6, 0.5),
        "hat": Voice(_one("drum_cymbal_closed"), 0.12, 0.07),
    },
    "tabla": {
        "bayan": Voice(_one("tabla_ghe8"), 0.4, 0.55),
        "tun": Voice(_one("tabla_tun1"), 0.45, 0.45),
        "cello": Voice(CELLO, 0.5, 0.45),
        "rim": Voice(_one("tabla_na_s"), 0.2, 0.35),
        "drum": Voice(_one("drum_tom_lo_hard"), 0.5, 0.55),
        "soft": Voice(_one("tabla_te1"), 0.12, 0.06),
    },
}
"""The kit of every style of training/data/dance_score.py."""


def files() -> list[str]:
    """Every file the kits need, without suffix."""
    return sorted({name for kit in KITS.values() for voice in kit.values() for _, name in voice.files})


@functools.cache
def load(folder: Path, rate: int) -> dict[str, Float32]:
    """One-shots by name: mono at rate, from their onset on, their peak 1. Raises KitError."""
    there: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".flac", ".wav"):
            there.setdefault(path.stem, path)
    found: dict[str, Float32] = {}
    for name in files():
        if name not in there:
            raise KitError(
                f"{folder}: no {name}.flac or .wav below it; training/cards/dance.md says where the sounds are from"
            )
        audio, native = sf.read(there[name], dtype="float32", always_2d=True)
        mono = audio[:, 0]
        mono = soxr.resample(mono, native, rate) if native != rate else mono
        level = np.abs(mono) / max(float(np.abs(mono).max()), 1e-9)
        begin = max(int(np.argmax(level > 10 ** (ONSET_DB / 20))) - round(PRE_S * rate), 0)
        found[name] = (mono[begin:] / max(float(np.abs(mono).max()), 1e-9)).astype(np.float32)
    return found


def mixdown(hits: Sequence[Hit], style: str, hops: int, folder: Path, rate: int) -> Float32:
    """Audio [hops * HOP] of hits, each DELAY_HOPS after its hop, softly limited to -1..1. Raises KitError."""
    sounds, kit = load(folder, rate), KITS[style]
    out = np.zeros(hops * HOP, np.float32)
    for name, voice in kit.items():
        own = sorted((hit for hit in hits if hit.voice == name), key=lambda hit: hit.hop)
        for hit, after in itertools.zip_longest(own, own[1:]):
            begin = (hit.hop + DELAY_HOPS) * HOP
            shot = _shot(sounds, voice, hit.note, rate)
            if after is not None:
                shot = _cut(shot, (after.hop - hit.hop) * HOP + round(CHOKE_S * rate), round(CHOKE_S * rate))
            shot = shot[: max(len(out) - begin, 0)]
            out[begin : begin + len(shot)] += voice.gain * (voice.soft + (1 - voice.soft) * hit.level) * shot
    return (out / (1 + out**4) ** 0.25).astype(np.float32)


def _shot(sounds: dict[str, Float32], voice: Voice, note: int, rate: int) -> Float32:
    nearest, name = min(voice.files, key=lambda file: abs(file[0] - note))
    shot = sounds[name][: round(2 * voice.seconds * rate)]
    if note and note != nearest:
        factor = 2 ** ((note - nearest) / 12)
        at = np.arange(0, len(shot) - 1, factor)
        shot = np.interp(at, np.arange(len(shot)), shot).astype(np.float32)
    return _cut(shot, round(voice.seconds * rate), round(FADE_S * rate))


def _cut(shot: Float32, length: int, fade: int) -> Float32:
    """The first `length` samples, faded out at their end where there was more."""
    if len(shot) <= length:
        return shot
    shot = shot[:length].copy()
    fade = min(fade, length)
    shot[length - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return shot
