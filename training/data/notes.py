"""Single notes, made ready for phrases: every note tuned to one constant pitch, its phase known at every sample.

In: a folder of single notes with manifest.csv. Out: a note library, one FLAC and one JSON file, from which phrases are
made. Knows nothing of phrases or of the corpus.

manifest.csv has a row per note and at least these columns (others are ignored, as are rows without midi):
    file          path below the folder
    instrument    what plays: several instruments may lie in one folder
    midi          the note that was meant, 60 is middle C; tuning is measured and corrected
    dynamic       p, mf, f ... or any names of layers; may be empty
    articulation  "sustain ..." or "single note" for held notes, "staccato" or "detached" for short ones; others are
                  left out
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy import interpolate, ndimage

from livemove.contracts import HOP, Float32, Float64, LivemoveError
from training.data import canonical
from training.data.corpus import replace_file
from training.data.descriptors import track_pitch
from training.data.phase import hz, recover

RATE = 48000
COLUMNS = ("file", "instrument", "midi", "dynamic", "articulation")
SUSTAINED, SHORT = ("sustain", "single note"), ("staccato", "detached")
HELD_OUT = 10
"""Every tenth note is kept out of training."""
TRIM_DB = -45.0
"""Relative to a note's level: softer beginnings and ends are cut off."""
LEAD_S = 0.008
"""Kept before the onset."""
RELEASE_DB, DYING = -32.0, round(0.1 * RATE)
"""Relative to a note's level: below, a release is faded out within so many samples."""
FADE = round(0.004 * RATE)
LONGEST_S = 2.1
"""What is kept of a held note's steady part; phrases loop in it."""
JOIN_S = 0.08
"""Crossfades between two places of one phase."""
NOISY_DB = 3.0
"""Notes with less harmonic power, against the rest, are no notes."""
FORMAT = 1


class NotesError(LivemoveError):
    """Single notes that cannot be used; the message names the file or folder."""


@dataclass(frozen=True)
class NoteFile:
    """A row of the manifest that can be used. short: staccato or detached; held_out: kept for validation."""

    path: str
    instrument: str
    midi: float
    dynamic: str
    short: bool
    held_out: bool


@dataclass(frozen=True)
class Note:
    """A prepared note: its running phase at sample n is exactly n * hz(midi) / RATE cycles.

    onset, body, release   samples: where it begins to sound; first and last of its steady part; where it ends to be
                           played. attack, released: whether the recording has its beginning and its end
    level_db               of the steady part, dBFS; cents: how far the recording was off; hnr_db: harmonics to the rest
    begin, end             its place in the library's sound
    """

    file: str
    instrument: str
    midi: float
    dynamic: str
    short: bool
    held_out: bool
    onset: int
    body: tuple[int, int]
    attack: bool
    released: bool
    level_db: float
    cents: float
    hnr_db: float
    begin: int = 0
    end: int = 0

    @property
    def period(self) -> float:
        """Samples."""
        return RATE / float(hz(np.float64(self.midi)))


def read_manifest(sounds: Path, instruments: Sequence[str] = ()) -> list[NoteFile]:
    """Single notes of a folder, of these instruments or all, in order of their paths. Raises NotesError."""
    path = sounds / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            rows = list(reader)
    except OSError as error:
        raise NotesError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise NotesError(f"{path}: not a table of comma-separated values ({error})") from error
    if missing:
        raise NotesError(f"{path}: lacks the columns {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
    found: list[NoteFile] = []
    for line, row in enumerate(sorted(rows, key=lambda r: r["file"]), 1):
        articulation = row["articulation"].strip().lower()
        short = articulation.startswith(SHORT)
        if not row["midi"].strip() or not (short or articulation.startswith(SUSTAINED)):
            continue
        if instruments and row["instrument"] not in instruments:
            continue
        try:
            midi = float(row["midi"])
        except ValueError:
            raise NotesError(f"{path}: row {line}: midi {row['midi']!r} is no number") from None
        if not 20 <= midi <= 110:
            raise NotesError(f"{path}: row {line}: midi {midi:g} is beyond 20..110")
        found.append(NoteFile(str(sounds / row["file"]), row["instrument"], midi, row["dynamic"].strip(), short, False))
    if not found:
        known = sorted({row["instrument"] for row in rows})
        raise NotesError(f"{path}: no held or short note of {', '.join(instruments) or 'any instrument'}; "
                         f"it has {', '.join(known)}")  # fmt: skip
    return [dataclasses.replace(n, held_out=i % HELD_OUT == HELD_OUT - 1) for i, n in enumerate(found)]


# --- one note -----------------------------------------------------------------------------------------------


def prepare_note(file: NoteFile, as_recorded: bool = False) -> tuple[Note, Float32]:
    """A note and its sound float32 [n] at RATE, tuned and trimmed. as_recorded: its harmonics keep their phases.

    Raises NotesError.
    """
    audio = _read(file.path)
    level = _level(audio)
    loud = float(np.percentile(level, 90))
    if loud < 1e-3:
        raise NotesError(f"{file.path}: silence")
    sounding = np.flatnonzero(level > loud * 10 ** (TRIM_DB / 20))
    first, last = max(sounding[0] * HOP - HOP, 0), min((sounding[-1] + 2) * HOP, len(audio))
    audio, level = audio[first:last], level[first // HOP : last // HOP]
    pitched = level > loud * 10 ** (-30 / 20)
    cents = _cents_off(file, audio, level)
    running = recover(audio, RATE, np.where(pitched, file.midi + cents / 100, np.nan)[: len(audio) // HOP])
    f0 = float(hz(np.float64(file.midi)))
    cents = 100 * (float(np.median(running.note[running.voiced])) - file.midi)
    sound = _at_constant_pitch(audio, running.cycles, f0)
    hnr_db = _harmonic_to_noise(sound, f0)
    if hnr_db < NOISY_DB:  # so it is, too, if it is an octave lower than the manifest says
        raise NotesError(f"{file.path}: {hnr_db:.0f} dB only of it belongs to the note of its manifest")
    if not as_recorded:
        sound = canonical.rewritten(sound, RATE, f0)
    note, sound = _divided(file, sound, cents, hnr_db)
    if note.body[1] - note.body[0] > LONGEST_S * RATE:
        note, sound = _shortened(note, sound)
    if note.released:
        sound = _without_room(note, sound)
    sound[:FADE] *= np.linspace(0, 1, FADE)
    sound[-FADE:] *= np.linspace(1, 0, FADE)
    return note, sound.astype(np.float32)


def _read(path: str) -> Float64:
    try:
        audio, rate = sf.read(path, dtype="float64", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise NotesError(f"{path}: cannot be read: {error}") from error
    mono = audio.mean(1)
    if rate != RATE:
        import soxr

        mono = soxr.resample(mono, rate, RATE)
    if len(mono) < 0.1 * RATE or not np.isfinite(mono).all():
        raise NotesError(f"{path}: shorter than 0.1 s, or not all numbers")
    return mono - mono.mean()


def _level(audio: Float64, width_s: float = 0.02) -> Float64:
    """RMS per hop, [ceil(n / HOP)]."""
    power = ndimage.uniform_filter1d(audio**2, max(round(width_s * RATE), 1), mode="constant")
    return np.sqrt(np.maximum(power[HOP // 2 :: HOP] if len(audio) > HOP // 2 else power, 0))


def _cents_off(file: NoteFile, audio: Float64, level: Float64) -> float:
    """Of the loudest half second, by the tracker. Raises NotesError if it is another note than the manifest says."""
    length = min(round(0.5 * RATE / HOP), len(level))
    centre = int(np.argmax(ndimage.uniform_filter1d(level, length)))
    begin = max(min(centre - length // 2, len(level) - length), 0) * HOP
    f0 = float(hz(np.float64(file.midi)))
    window_s = max(2 / 47, 3.2 / f0)
    found, _ = track_pitch(audio[begin : begin + length * HOP].astype(np.float32), RATE, f0 / 1.6, f0 * 1.6, window_s)
    if np.isnan(found).mean() > 0.7:
        raise NotesError(f"{file.path}: no pitch is heard in it")
    cents = 100 * (float(np.nanmedian(found)) - file.midi)
    if abs(cents) > 80:
        raise NotesError(f"{file.path}: sounds {cents:+.0f} cents off the note of its manifest")
    return cents


def _at_constant_pitch(audio: Float64, cycles: Float64, f0: float) -> Float64:
    """Audio resampled so that its phase is n * f0 / RATE cycles, from a whole cycle before its beginning on."""
    edges = np.arange(len(cycles)) * float(HOP)
    time = interpolate.CubicSpline(cycles, edges)
    first = np.ceil(cycles[0])
    count = int((cycles[-1] - first) * RATE / f0)
    return interpolated(audio, time(first + np.arange(count) * (f0 / RATE))).astype(np.float64)


def _harmonic_to_noise(sound: Float64, f0: float) -> float:
    """dB, of the middle: power at whole multiples of f0 (windows of eight periods) against the rest."""
    size = round(8 * RATE / f0)
    middle = sound[len(sound) // 4 : len(sound) * 3 // 4]
    starts = np.arange(0, max(len(middle) - size, 1), size)
    frames = np.stack([np.pad(middle[s : s + size], (0, max(size - len(middle) + s, 0))) for s in starts])
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    near = np.abs((np.arange(power.shape[1]) + 4) % 8 - 4) < 2
    return float(10 * np.log10(power[:, near].sum() / max(power[:, ~near].sum() * 8 / 5, 1e-20)))


def _divided(file: NoteFile, sound: Float64, cents: float, hnr_db: float) -> tuple[Note, Float64]:
    """Where the note begins, is steady and ends."""
    level = _level(sound)
    steady = float(np.percentile(level, 75 if file.short else 60))
    db = 20 * np.log10(np.maximum(level, 1e-7) / steady)
    onset = int(np.flatnonzero(db > -30)[0])
    loud = np.flatnonzero(db > -3.0)
    begin, end = int(loud[0]) + 2, int(loud[-1]) - 2
    if end - begin < 8:  # a short note that does nothing but swell and fall
        middle = (int(loud[0]) + int(loud[-1])) // 2
        begin, end = max(middle - 4, 0), min(middle + 4, len(db) - 1)
    attack, released = file.short or bool(db[:2].min() < -12), bool(db[-3:].mean() < -20)
    body = level[begin:end]
    note = Note(
        Path(file.path).name, file.instrument, file.midi, file.dynamic, file.short, file.held_out,
        max(onset * HOP - round(LEAD_S * RATE), 0), (begin * HOP, end * HOP), attack, released,
        float(10 * np.log10(np.mean(body**2))), cents, hnr_db,
    )  # fmt: skip
    return note, sound


def _without_room(note: Note, sound: Float64) -> Float64:
    """A release ends where it has sunk to RELEASE_DB: what follows is the room's noise."""
    level = _level(sound)
    over = np.flatnonzero(level > 10 ** ((note.level_db + RELEASE_DB) / 20))
    end = min(max((int(over[-1]) + 1) * HOP, note.body[1]) + DYING, len(sound))
    fade = min(DYING, end - note.body[1])
    out = sound[:end].copy()
    out[end - fade :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return out


def _shortened(note: Note, sound: Float64) -> tuple[Note, Float64]:
    """The steady part cut to LONGEST_S; whole cycles are left out, and the ends joined by a crossfade."""
    begin, end = note.body
    keep, join = round(LONGEST_S * RATE), round(JOIN_S * RATE)
    if not note.released:
        return dataclasses.replace(note, body=(begin, begin + keep)), sound[: begin + keep + 2 * HOP].copy()
    cut = round(int((end - begin - keep) / note.period) * note.period)
    at = begin + keep // 2
    fade = np.linspace(0, 1, join)
    whole = (int((end - begin - keep) / note.period)) * note.period
    moved = interpolated(sound, np.arange(at, len(sound) - cut) + whole).astype(np.float64)
    out = np.concatenate([sound[:at], moved])
    out[at : at + join] = sound[at : at + join] * (1 - fade) + moved[:join] * fade
    return dataclasses.replace(note, body=(begin, end - cut)), out


# --- interpolation ------------------------------------------------------------------------------------------

TAPS, FINE = 16, 2048


def _sinc_table() -> Float32:
    """[FINE + 1, TAPS]: sinc under a Kaiser window, for every 1/FINE of a sample."""
    at = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(FINE + 1)[:, None] / FINE
    window = np.i0(8.0 * np.sqrt(np.maximum(1 - (at / (TAPS / 2)) ** 2, 0))) / np.i0(8.0)
    table = np.sinc(at) * window
    return (table / table.sum(1, keepdims=True)).astype(np.float32)


TABLE = _sinc_table()


def interpolated(sound: Float64 | Float32, place: Float64) -> Float32:
    """Sound [n], silent outside, at places [m] in samples: 16-tap windowed sinc (image rejection about 70 dB)."""
    padded = np.pad(np.asarray(sound, np.float32), TAPS)
    place = np.clip(place + TAPS, TAPS // 2, len(padded) - TAPS // 2 - 2)
    index = place.astype(np.int64)
    fine = np.rint((place - index) * FINE).astype(np.int64)
    rows = np.lib.stride_tricks.sliding_window_view(padded, TAPS)
    return np.einsum("ij,ij->i", rows[index - (TAPS // 2 - 1)], TABLE[fine])


# --- the library --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Library:
    """Prepared notes and their sound, float32 [samples], one after the other. canonical: whether their phases are."""

    notes: tuple[Note, ...]
    sound: Float32
    canonical: bool = True

    def of(self, note: Note) -> Float32:
        """A note's sound."""
        return self.sound[note.begin : note.end]


def make_library(
    files: Sequence[NoteFile],
    workers: int = 1,
    as_recorded: bool = False,
    on_progress: Callable[[int, str], None] = lambda done, name: None,
) -> tuple[Library, list[str]]:
    """Prepare notes by so many processes: (the library, which notes were left out and why). Raises NotesError."""
    notes: list[Note] = []
    sounds: list[Float32] = []
    left_out: list[str] = []
    begin = 0
    for count, made in enumerate(_prepared(files, workers, as_recorded), 1):
        if isinstance(made, str):
            left_out.append(made)
        else:
            note, sound = made
            notes.append(dataclasses.replace(note, begin=begin, end=begin + len(sound)))
            sounds.append(sound)
            begin += len(sound)
        on_progress(count, Path(files[count - 1].path).name)
    if not notes:
        raise NotesError(f"no note can be used: {left_out[0] if left_out else 'there is none'}")
    return Library(tuple(notes), np.concatenate(sounds), not as_recorded), left_out


def _prepared(files: Sequence[NoteFile], workers: int, as_recorded: bool) -> Iterable[tuple[Note, Float32] | str]:
    if workers == 1:
        yield from (_one(file, as_recorded) for file in files)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(_one, files, [as_recorded] * len(files), chunksize=4)


def _one(file: NoteFile, as_recorded: bool) -> tuple[Note, Float32] | str:
    try:
        return prepare_note(file, as_recorded)
    except NotesError as error:
        return str(error)


def save_library(library: Library, folder: Path) -> None:
    """notes.flac (16 bits) and notes.json in folder. Raises OutputError."""
    packed = io.BytesIO()
    sf.write(packed, library.sound, RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)
    replace_file(folder / "notes.flac", packed.getvalue())
    about = {
        "format": FORMAT, "sample_rate": RATE, "canonical": library.canonical,
        "notes": [dataclasses.asdict(note) for note in library.notes],
    }  # fmt: skip
    replace_file(folder / "notes.json", (json.dumps(about, indent=0) + "\n").encode())


def load_library(folder: Path) -> Library:
    """Raises NotesError."""
    try:
        about = json.loads((folder / "notes.json").read_text(encoding="utf-8-sig"))
        if (about["format"], about["sample_rate"]) != (FORMAT, RATE):
            raise ValueError(f"format {about['format']}, this version reads {FORMAT}")
        notes = tuple(Note(**{**note, "body": tuple(note["body"])}) for note in about["notes"])
        sound, _ = sf.read(folder / "notes.flac", dtype="float32")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise NotesError(f"{folder}: no note library that can be read ({error}); make it again") from error
    if not notes or notes[-1].end != len(sound):
        raise NotesError(f"{folder}: its notes and its sound do not fit together; make it again")
    return Library(notes, sound, about["canonical"])
