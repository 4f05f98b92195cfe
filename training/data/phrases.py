"""A score played on an instrument: sound from single notes, with pitch and running phase exact by construction.

In: an Instrument and a Score. Out: audio, its phase, and the clips of a corpus. Every recording used follows the
score's one running phase (notes of a library have a known phase at every sample), so attacks, steady parts, loops and
releases join without a seam, and layers blend harmonic by harmonic. Knows no terminal.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from livemove.contracts import HOP, Float32, Float64
from training.data import descriptors, score
from training.data.corpus import Clip
from training.data.instrument import Cell, Instrument
from training.data.notes import RATE, Library, Note, interpolated
from training.data.phase import integrate
from training.data.procedural import HELD_OUT_SEED
from training.data.score import Bow, Score

JOIN = round(0.06 * RATE)
"""Samples over which one place of a recording becomes another."""
RELEASE_JOIN = round(0.04 * RATE)
SOFT = round(0.012 * RATE)
"""Fade where a bow has no attack or no release of its own."""
ATTACK = round(0.002 * RATE)
"""Fade of a recorded attack: it begins up to a cycle before its onset, so that its phase fits."""
STOP = round(0.02 * RATE)
"""Fade of a note that would still ring when the next begins: it ends there, for the phase then follows the next."""
EVEN_S = 0.15
"""A recording's own level is levelled out over so long; what is faster stays."""
CEILING = 0.97
TILT_DB, TILT_HZ = 9.0, 1500.0
"""How much brighter or darker the bow's place makes what is above this frequency."""


@dataclass(frozen=True)
class _Grain:
    """A stretch of one recording, samples begin .. end of the phrase; origin: whole cycles between their phases."""

    note: Note
    origin: int
    begin: int
    end: int
    fade_in: int
    fade_out: int


class Player:
    """Plays scores on one instrument of a library, with its training notes or the held-out ones."""

    def __init__(self, library: Library, name: str, held_out: bool = False) -> None:
        """Raises NotesError."""
        self.library = library
        self.instrument = Instrument(library, name, held_out)
        self._levels: dict[Note, Float64] = {}

    def play(self, written: Score, rng: np.random.Generator, start: float = 0.0) -> tuple[Float32, Float64]:
        """(audio float32 [hops * HOP] as 16 bits hold it, cycles float64 [hops + 1] at the hops' boundaries).

        start: the phase at the beginning, in cycles.
        """
        cycles = integrate(written.pitch, RATE, start)
        fine = np.interp(np.arange(len(written.pitch) * HOP), np.arange(len(cycles)) * float(HOP), cycles)
        out = np.zeros(len(fine))
        for i, bow in enumerate(written.bows):
            stop = written.bows[i + 1].first * HOP if i + 1 < len(written.bows) else len(out)
            self._bow(out, written, fine, bow, min(stop, len(out)), rng)
        return finished(_tilted(out, written.tilt)), cycles

    def plain(self, played: Sequence[tuple[Note, Float64, int]]) -> tuple[Float32, Score, Float64]:
        """Recordings from beginning to end, each with its pitch [hops] and so many hops of silence after it.

        (audio as `play` gives it, the score, cycles float64 [hops + 1])
        """
        pitch = np.concatenate([np.concatenate([track, np.full(rest, track[-1])]) for _, track, rest in played])
        pitch = pitch.astype(np.float32)
        cycles = integrate(pitch, RATE)
        fine = np.interp(np.arange(len(pitch) * HOP), np.arange(len(cycles)) * float(HOP), cycles)
        out, at = np.zeros(len(fine)), 0
        for note, track, rest in played:
            begin, over = (at + 2) * HOP, (at + len(track) + rest) * HOP
            level = np.full(len(pitch), 10 ** (self.instrument.level_db(note) / 20))
            origin = math.ceil(fine[begin] - note.onset / note.period)
            end = min(_when(fine, origin, note, note.end - note.begin), over)
            self._add(out, fine, _Grain(note, origin, begin, end, ATTACK, SOFT), level)
            at += len(track) + rest
        zero = np.zeros(len(pitch))
        return finished(out), Score(pitch, pitch.astype(np.float64), zero, zero, zero, ()), cycles

    # --- one bow ------------------------------------------------------------------------------------------

    def _bow(
        self, out: Float64, written: Score, fine: Float64, bow: Bow, stop: int, rng: np.random.Generator
    ) -> None:  # fmt: skip
        """Add a bow to out. What rings on after it ends at `stop`."""
        tail = min(bow.last + round(1.5 * RATE / HOP), len(written.pitch))
        hops = np.minimum(np.arange(bow.first, tail), bow.last - 1)  # weights and level of its end hold while it rings
        near, level = written.near[hops], written.level_db[hops]
        weights = self.instrument.weights(near, level + written.effort_db[hops], HOP / RATE)
        target = 10 ** (level / 20) * (level > score.NOTHING_DB + 0.5)
        for cell, weight in weights.items():
            gain = np.zeros(len(written.pitch))
            gain[bow.first : tail] = weight * target
            for grain in _grains(cell, weight > 0, bow, stop, fine, rng):
                self._add(out, fine, grain, gain)

    def _add(self, out: Float64, fine: Float64, grain: _Grain, gain: Float64) -> None:
        """gain [hops]: of the steady part of the recording, at the middle of each hop."""
        begin, end = grain.begin, grain.end
        if end - begin < 2:
            return
        note = grain.note
        place = (fine[begin:end] - grain.origin) * note.period
        sound = interpolated(self.library.of(note), place).astype(np.float64)
        first, last = begin // HOP, -(-end // HOP)
        centre = np.arange(first, last) * HOP + HOP / 2
        even = self._even(note)
        own = np.interp(np.interp(centre, np.arange(begin, end), place), np.arange(len(even)) * HOP + HOP / 2, even)
        sound *= np.interp(np.arange(begin, end), centre, gain[first:last] / own)
        sound[: grain.fade_in] *= _rise(grain.fade_in)[: len(sound)]
        if grain.fade_out:
            sound[-grain.fade_out :] *= _rise(grain.fade_out)[::-1][-len(sound) :]
        out[begin:end] += sound

    def _even(self, note: Note) -> Float64:
        """A recording's slow level per hop, that of the ends of its steady part before and after it."""
        if note not in self._levels:
            sound = self.library.of(note).astype(np.float64)
            count = -(-len(sound) // HOP)
            power = np.pad(sound, (0, count * HOP - len(sound))).reshape(count, HOP) ** 2
            first, last = note.body[0] // HOP, max(note.body[1] // HOP, note.body[0] // HOP + 1)
            body = power.mean(1)[first:last]
            slow = np.sqrt(ndimage.uniform_filter1d(body, max(round(EVEN_S * RATE / HOP), 1), mode="nearest"))
            level = np.full(count, slow[-1])
            level[:last] = np.concatenate([np.full(first, slow[0]), slow])
            self._levels[note] = np.maximum(level, 1e-5)
        return self._levels[note]


def _grains(
    cell: Cell, sounding: np.ndarray, bow: Bow, stop: int, fine: Float64, rng: np.random.Generator
) -> Iterator[_Grain]:
    """What one cell plays in a bow. sounding [hops from the bow's first]: where it has weight."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sounding, [False]]).astype(np.int8)))
    short = [note for note in cell.takes if note.short]
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        starts = first == 0
        ends = bow.first + last >= bow.last  # its weight lasts to the bow's end
        begin = max((bow.first + first - 1) * HOP, bow.first * HOP)
        end = min(bow.last, bow.first + last + 1) * HOP
        if starts and bow.short and short:
            yield from _whole(_one(rng, short), begin, stop, fine)
            continue
        fade = ATTACK
        if starts and bow.attack and (takes := _with_attack(cell)):
            note = _one(rng, takes)
            origin = math.ceil(fine[begin] - note.onset / note.period)
        else:
            note, fade = _steady(rng, cell), SOFT
            origin = _random_place(rng, note, fine[begin])
        last_sample = end if not ends else min(end + (RELEASE_JOIN if bow.release else SOFT), stop, len(fine))
        at = begin
        while True:
            until = max(_when(fine, origin, note, note.body[1]), at + 2 * HOP)
            if until >= last_sample:
                fade_out = (RELEASE_JOIN if bow.release else SOFT) if ends else 0
                yield _Grain(note, origin, at, last_sample, fade, min(fade_out, last_sample - at))
                break
            join = min(JOIN, (until - at) // 2)
            yield _Grain(note, origin, at, until, fade, join)
            at, fade = until - join, join
            note = _steady(rng, cell)
            origin = _random_place(rng, note, fine[at])
        if ends and bow.release and end < stop and (takes := [n for n in cell.takes if n.released]):
            note = _one(rng, takes)
            origin = round(fine[min(end, len(fine) - 1)] - note.body[1] / note.period)
            over = min(_when(fine, origin, note, note.end - note.begin), stop)
            cut = STOP if over == stop else 0
            yield _Grain(note, origin, end, over, min(RELEASE_JOIN, over - end), min(cut, over - end))


def _whole(note: Note, begin: int, stop: int, fine: Float64) -> Iterator[_Grain]:
    origin = math.ceil(fine[begin] - note.onset / note.period)
    over = min(_when(fine, origin, note, note.end - note.begin), stop)
    yield _Grain(note, origin, begin, over, ATTACK, min(STOP, over - begin) if over == stop else 0)


def _one(rng: np.random.Generator, takes: list[Note]) -> Note:
    return takes[int(rng.integers(len(takes)))]


def _with_attack(cell: Cell) -> list[Note]:
    return [note for note in cell.takes if note.attack]


def _steady(rng: np.random.Generator, cell: Cell) -> Note:
    """A held note if there is one; short ones are looped otherwise."""
    return _one(rng, [note for note in cell.takes if not note.short] or list(cell.takes))


def _random_place(rng: np.random.Generator, note: Note, cycles: float) -> int:
    """The origin that puts a random place of the steady part at a phase; there is time to play on from it."""
    first, last = note.body
    place = first + rng.random() ** 1.5 * max(last - first - 4 * JOIN, (last - first) / 3)
    return round(cycles - place / note.period)


def _when(fine: Float64, origin: int, note: Note, place: float) -> int:
    """First sample of the phrase at which a recording reaches a place."""
    return int(np.searchsorted(fine, origin + place / note.period))


def _rise(count: int) -> Float64:
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / max(count, 1))


def _tilted(sound: Float64, tilt: Float64) -> Float64:
    """Brighter or darker by tilt [hops] -1..1, without turning a phase; silence stays silence."""
    taps = -signal.firwin(201, TILT_HZ, fs=RATE)
    taps[100] += 1
    high = signal.oaconvolve(sound, taps, mode="same")
    gain = 10 ** (TILT_DB / 20 * tilt) - 1
    centre = np.arange(len(tilt)) * HOP + HOP / 2
    out = sound + np.interp(np.arange(len(sound)), centre, gain) * high
    return np.where(ndimage.maximum_filter1d(np.abs(sound), 3) > 0, out, 0.0)


def finished(sound: Float64) -> Float32:
    """Within -1..1, rounded to 16 bits."""
    sound = sound * min(1.0, CEILING / max(float(np.abs(sound).max(initial=0)), 1e-9))
    return (np.rint(sound * 32768) / 32768).astype(np.float32)


# --- clips of a corpus --------------------------------------------------------------------------------------

Made = tuple[Clip, Float32, dict[str, np.ndarray]]
"""A clip's row, its audio float32 [hops * HOP], its arrays."""


def clip_arrays(audio: Float32, written: Score, cycles: Float64) -> dict[str, np.ndarray]:
    """Tracks of a phrase: its pitch, the descriptors of the finished sound, its phase. See training/data/corpus.py."""
    level = np.sqrt(ndimage.uniform_filter1d(audio.astype(np.float64) ** 2, HOP)[HOP // 2 :: HOP])
    voicing = (level > descriptors.SILENT).astype(np.float64)
    track = descriptors.describe(audio, RATE, (written.pitch.astype(np.float64), voicing))
    return {"descriptors": track, "phase": np.mod(cycles[:-1], 1.0).astype(np.float32) % np.float32(1)}


def name(split: str, index: int) -> str:
    """Of a clip."""
    return f"phrase_{index:05d}" if split == "train" else f"held_out_{index:03d}"


def source(seed: int, beyond: float = 0.0) -> str:
    """What a training clip is made from, in its row."""
    return f"phrases of seed {seed}" + (f", {beyond:g} semitones beyond the recordings" if beyond else "")


def phrase(player: Player, style: str, seed: int, index: int, seconds: float, beyond: float = 0.0) -> Made:
    """Training clip `index` of a seed: the same on every machine. beyond: semitones that it leads out of the recorded
    range, within the pitch channel's: its outermost notes, resampled."""
    rng = np.random.default_rng((seed, index, zlib.crc32(style.encode())))
    low, high = player.instrument.low, player.instrument.high
    if beyond:
        low, high = max(low - beyond, score.PITCH.minimum), min(high + beyond, score.PITCH.maximum)
    written = score.compose(rng, round(seconds * RATE / HOP), low, high)
    audio, cycles = player.play(written, rng, rng.random())
    row = Clip("train", style, name("train", index), source(seed, beyond))
    return described(row, audio, written, cycles)


def held_out_clip(player: Player, style: str, notes: list[Note], index: int) -> Made:
    """Validation clip: notes that no training clip holds, one after the other, every second one with vibrato."""
    rng = np.random.default_rng((HELD_OUT_SEED, index))
    played = []
    for number, note in enumerate(notes):
        hops = max(round((note.end - note.begin) / HOP), 8)
        pitch = note.midi + (score.vibrato(rng, hops, True) if number % 2 and not note.short else np.zeros(hops))
        played.append((note, pitch, int(rng.integers(30, 90))))
    audio, written, cycles = player.plain(played)
    row = Clip("valid", style, name("valid", index), ", ".join(note.file for note in notes))
    return described(row, audio, written, cycles)


def described(row: Clip, audio: Float32, written: Score, cycles: Float64) -> Made:
    """The clip of a row, its tracks and figures filled in."""
    arrays = clip_arrays(audio, written, cycles)
    rms = float(np.sqrt((audio.astype(np.float64) ** 2).mean()))
    hops = len(written.pitch)
    row = dataclasses.replace(
        row, tracks=("descriptors",), hops=hops, seconds=hops * HOP / RATE,
        voiced=float((arrays["descriptors"][:, 1] > 0).mean()), level_dbfs=20 * math.log10(max(rms, 1e-6)),
    )  # fmt: skip
    return row, audio, arrays
