"""Recordings to learn from: heard, judged, and cut into a corpus with parts held out.

In: sound files. Out: what is wrong or missing, each in one sentence; a corpus (training/data/corpus.py) whose clips are
stretches between the quietest moments. The bounds were measured on instruments, singing, speech, songs, drums and noise
(training/LOG.md, `livemove learn`). Knows no network and no terminal.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livemove.contracts import HOP, LEVEL, Float32, Float64
from training.data import descriptors
from training.data.clip import ClipError, read_sound
from training.data.corpus import Clip, Writer, write_clip
from training.data.items import as_name
from training.data.phase import recover

RATE = 48000
HOP_S = HOP / RATE

SILENT_DBFS = -60.0
"""Material that is never louder is silence."""
QUIETER_DB = 40.0
"""A hop sounds if it is at most so much quieter than the loudest (99 %) of the material."""
LEAST_S, ENOUGH_S = 20.0, 50.0
"""Seconds that must sound; from where on length is not what limits it."""
CLIPPED = 0.001
"""Share of samples at full scale: 0 in all recordings that were tried, 0.09 in one made 15 dB too loud."""
VOICED = 0.5
"""Share of sounding hops with a pitch, from which on it has one: drums 0.41-0.48, speech 0.75-0.92, notes 0.99-1."""
HELD = 0.2
"""Share of sounding hops on a held note: speech 0.02-0.16, songs 0.28-0.45, instruments and singing 0.25-0.96."""
HELD_SLOPE = 2.5
"""Semitones per second, of pitch averaged over HELD_MEAN_S, up to which a note is held: vibrato is, intonation not."""
HELD_MEAN_S = 0.15
CLEAR = 0.6
"""Periodicity that nine voiced hops in ten exceed: one instrument 0.65-0.98, several at once (songs) 0.49-0.56."""
ONE_NOTE = 2.0
"""Semitones; less is one note."""
CHANGES_DB, CHANGES_BRIGHT = 3.0, 0.05
"""Range (10-90 %) of level and brightness below which nothing changes: white noise 0.6 dB, 0.00; wind 29 dB, 0.11."""

PIECE_S, AROUND_S = 6.0, 1.5
"""Length of a clip, and how far around its end the quietest moment is looked for."""
EVERY = 7
"""One clip in so many is held out."""
LOUD = 0.98
"""Loudness of the loudest hops (99 %) after all has been made louder or quieter by one gain; PEAK is not exceeded."""
PEAK = 0.98


@dataclass(frozen=True)
class Sound:
    """One recording: audio float32 [samples] at RATE; note [hops], NaN where there is none, and described [hops, 5],
    as descriptors.track_pitch and describe give them."""

    path: Path
    audio: Float32
    note: Float64
    described: Float32

    @property
    def level_db(self) -> Float64:
        """RMS of each hop's surroundings in dBFS [hops]."""
        return 20 * np.log10(np.maximum(self.described[:, 2].astype(np.float64) ** 2 * LEVEL, 1e-7))


@dataclass(frozen=True)
class Finding:
    """What is wrong with the material, or missing, and what to do; stops: a model made of it would be of no use."""

    text: str
    stops: bool = False


@dataclass(frozen=True)
class Material:
    """What there is. pitched: a model of it follows pitch. sounding_s: without its rests."""

    seconds: float
    sounding_s: float
    pitched: bool
    findings: tuple[Finding, ...]


def hear(path: Path) -> Sound:
    """Read and describe a recording. Raises ClipError, which names the file."""
    try:
        audio = read_sound(path, RATE)
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from error
    audio = audio[: len(audio) // HOP * HOP]
    if not len(audio):
        raise ClipError(f"{path}: shorter than a hop")
    note, voicing = descriptors.track_pitch(audio, RATE)
    described = descriptors.describe(audio, RATE, (note, voicing))
    return Sound(path, audio, note, described)


# --- judging ------------------------------------------------------------------------------------------------


def judge(sounds: Sequence[Sound]) -> Material:
    """What the recordings are good for, taken together; what is wrong with single ones names them."""
    seconds = sum(len(sound.audio) for sound in sounds) / RATE
    top = max(float(np.percentile(sound.level_db, 99)) for sound in sounds)
    if top < SILENT_DBFS:
        return Material(seconds, 0.0, False, (Finding("it is silent: check microphone and level", True),))
    findings: list[Finding] = []
    pitched_s = sounding_s = 0.0
    for sound in sounds:
        sounding = sound.level_db > max(top - QUIETER_DB, SILENT_DBFS)
        where = f"{sound.path.name}: " if len(sounds) > 1 else ""
        if not sounding.any():
            findings.append(Finding(f"{where}silent beside the others"))
            continue
        found, pitched = _kind(sound, sounding)
        findings += [dataclasses.replace(finding, text=where + finding.text) for finding in found]
        sounding_s += float(sounding.sum()) * HOP_S
        pitched_s += float(sounding.sum()) * HOP_S * pitched
    pitched = pitched_s > sounding_s / 2
    if pitched and pitched_s < sounding_s:
        text = "notes and sound without pitch together: one of the two would suffer; learn them apart"
        findings.append(Finding(text))
    spoilt = any(finding.stops for finding in findings)
    findings += [f for f in _amount(sounds, top, sounding_s, pitched) if f.stops or not spoilt]
    return Material(seconds, sounding_s, pitched, tuple(findings))


def _kind(sound: Sound, sounding: np.ndarray) -> tuple[list[Finding], bool]:
    """(what is wrong with one recording, whether it is one instrument's notes)."""
    findings: list[Finding] = []
    clipped = float((np.abs(sound.audio) >= 0.999).mean())
    if clipped > CLIPPED:
        text = f"{100 * clipped:.1f} % of it is clipped: record it at a lower level, or its crackle is learnt, too"
        findings.append(Finding(text))
    voiced = ~np.isnan(sound.note) & sounding
    if voiced.sum() < VOICED * sounding.sum():
        return findings, False
    clear = float(np.percentile(sound.described[voiced, 1], 10))
    if held(sound, voiced) < HELD * sounding.sum():
        text = "it sounds like speech: no note is held; a model of it would babble, and follow no pitch"
        return [*findings, Finding(f"{text}; sing or play single notes", True)], False
    if clear < CLEAR:
        text = "several notes at once (a chord, a song, a hall): pitch can be learnt of one instrument playing one note"
        return [*findings, Finding(f"{text} at a time", True)], False
    return findings, True


def held(sound: Sound, voiced: np.ndarray) -> int:
    """Hops on a held note: whose pitch, averaged over HELD_MEAN_S, moves by less than HELD_SLOPE."""
    width = round(HELD_MEAN_S / HOP_S)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(np.int8)))
    count = 0
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first >= width + 8:
            smooth = np.convolve(sound.note[first:last], np.ones(width) / width, "valid")
            count += int((np.abs(np.gradient(smooth)) / HOP_S < HELD_SLOPE).sum())
    return count


def _amount(sounds: Sequence[Sound], top: float, sounding_s: float, pitched: bool) -> list[Finding]:
    """Is there enough, and does it change?"""
    findings: list[Finding] = []
    if sounding_s < LEAST_S:
        text = f"too short: {sounding_s:.0f} s of it sound; {LEAST_S:.0f} s are the least, a minute is better"
        findings.append(Finding(text, True))
    elif sounding_s < ENOUGH_S:
        findings.append(Finding(f"{sounding_s:.0f} s of it sound: a minute or more with all its notes is better"))
    rows = np.concatenate([s.described[s.level_db > max(top - QUIETER_DB, SILENT_DBFS)] for s in sounds])
    if pitched:
        low, high = np.percentile(rows[:, 0], (2, 98))
        if high - low < ONE_NOTE:
            findings.append(Finding("it holds one note: the model will play that one; record all that it is to play"))
        return findings
    level = 40 * np.log10(np.maximum(rows[:, 2], 1e-3))
    changes_db, changes_bright = (float(np.ptp(np.percentile(values, (10, 90)))) for values in (level, rows[:, 3]))
    if changes_db < CHANGES_DB and changes_bright < CHANGES_BRIGHT:
        text = (
            f"noise that stays as it is: it has no pitch, and its level ({changes_db:.1f} dB) and colour hardly change"
        )
        findings.append(Finding(f"{text}, so there is nothing for a body to play", True))
    else:
        findings.append(Finding("no pitch: loudness, brightness and onsets will be played"))
    return findings


# --- cutting ------------------------------------------------------------------------------------------------


def cut(sounds: Sequence[Sound], root: Path, style: str) -> None:
    """Write the corpus: every recording in pieces, one in EVERY held out, at least one. Raises OutputError."""
    gain = _gain(sounds)
    names = _names(sounds)
    pieces = [(i, place) for i, sound in enumerate(sounds) for place in boundaries(sound.level_db)]
    apart = min(EVERY, max(len(pieces), 1))
    writer = Writer(root, RATE, "full", {"descriptors": descriptors.CHANNELS})
    ready: tuple[int, Float32, dict[str, np.ndarray]] | None = None
    try:
        for number, (i, (first, last)) in enumerate(pieces):
            if ready is None or ready[0] != i:
                audio = sounds[i].audio * np.float32(gain)
                ready = i, audio, _tracks(sounds[i], audio)
            split = "valid" if number % apart == apart // 2 and len(pieces) > 1 else "train"
            row = Clip(split, style, f"{names[i]}_{first:06d}", str(sounds[i].path))
            _write_piece(writer, row, first, last, *ready[1:])
    finally:
        writer.close()


def _write_piece(
    writer: Writer, row: Clip, first: int, last: int, audio: Float32, tracks: dict[str, np.ndarray]
) -> None:  # fmt: skip
    part = audio[first * HOP : last * HOP]
    arrays = {name: np.ascontiguousarray(track[first:last]) for name, track in tracks.items()}
    rms = float(np.sqrt(np.mean(part.astype(np.float64) ** 2)))
    row = dataclasses.replace(
        row, start_s=first * HOP_S, tracks=tuple(name for name in arrays if name != "phase"), hops=last - first,
        seconds=(last - first) * HOP_S, voiced=float((arrays["descriptors"][:, 1] > 0).mean()),
        level_dbfs=20 * float(np.log10(max(rms, 1e-6))),
    )  # fmt: skip
    write_clip(writer.root, row, part, RATE, arrays)
    writer.record(row)


def _tracks(sound: Sound, audio: Float32) -> dict[str, np.ndarray]:
    """Descriptors and running phase of a recording after its gain; the pitch is that phase's derivative."""
    described = descriptors.describe(audio, RATE, (sound.note, sound.described[:, 1].astype(np.float64)))
    running = recover(audio, RATE, sound.note)
    described[:, 0] = np.clip(running.note, descriptors.CHANNELS[0].minimum, descriptors.CHANNELS[0].maximum)
    return {"descriptors": described, "phase": running.at_hops}


def boundaries(level_db: Float64) -> list[tuple[int, int]]:
    """[first, last) hops of pieces of about PIECE_S, cut at the quietest hop around; all hops are in one."""
    length, around = round(PIECE_S / HOP_S), round(AROUND_S / HOP_S)
    edges = [0]
    while len(level_db) - edges[-1] > length + 2 * around:
        middle = edges[-1] + length
        edges.append(middle - around + int(np.argmin(level_db[middle - around : middle + around])))
    edges.append(len(level_db))
    return list(itertools.pairwise(edges))


def _gain(sounds: Sequence[Sound]) -> float:
    """One for all, so that what is loud in one recording stays louder than another: to loudness LOUD, within PEAK."""
    loudest = max(float(np.percentile(sound.level_db, 99)) for sound in sounds)
    wanted = 20 * np.log10(LOUD**2 * LEVEL)
    peak = max(float(np.abs(sound.audio).max()) for sound in sounds)
    return float(min(10 ** ((wanted - loudest) / 20), PEAK / max(peak, 1e-6)))


def _names(sounds: Sequence[Sound]) -> list[str]:
    """A clip's name begins with its recording's; two of one name are told apart by their number."""
    stems = [as_name(sound.path.stem) for sound in sounds]
    return [f"{i}_{stem}" if stems.count(stem) > 1 else stem for i, stem in enumerate(stems)]
