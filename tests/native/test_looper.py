"""The looper: as long as was played or as beats say, no click at any seam, undone, cleared, bounded, the same again."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.contracts import HOP, Float32
from livemove.ipc.loop_status import LoopState
from livemove.native._effects import LOOPER_FADE, LOOPER_SECONDS, Looper
from livemove.synthesis.effects import CLEAR, PANIC, RECORD, STOP, UNDO
from tests.support.clicks import clicks
from tests.support.effects import noise, stereo, through

RATE = 16000
FADE = round(LOOPER_FADE * RATE)


def tone(seconds: float, hertz: float = 220.0, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def played(
    looper: Looper, sound: np.ndarray, presses: dict[int, int], beat: float = 0.0, level: float = 1.0
) -> tuple[Float32, list[LoopState]]:
    """(what the loop adds to the sound, its state after every hop); presses: hop -> bits."""
    states: list[LoopState] = []

    def work(block: Float32, hop: int) -> None:
        looper.process(block, presses.get(hop, 0), beat, level)
        states.append(LoopState(looper.state))

    dry = stereo(sound)
    return through(work, sound) - dry, states


def hops(seconds: float) -> int:
    return round(seconds * RATE / HOP)


def test_what_was_played_goes_round_from_when_it_was_closed() -> None:
    looper = Looper(RATE)
    first = noise(1.024, RATE)  # 64 hops
    loop, states = played(looper, np.pad(first, ((0, 4 * len(first)), (0, 0))), {0: RECORD, 64: RECORD})
    assert states[0] is LoopState.RECORDING
    assert states[64] is LoopState.PLAYING
    assert looper.length == 64 * HOP
    assert not loop[: 64 * HOP].any()
    for again in (1, 2, 3):
        heard = loop[again * 64 * HOP + FADE : (again + 1) * 64 * HOP]
        assert np.allclose(heard, first[FADE:], atol=1e-6)
    assert loop[2 * 64 * HOP : 3 * 64 * HOP].tobytes() == loop[3 * 64 * HOP : 4 * 64 * HOP].tobytes()


def test_an_empty_looper_is_dry_to_the_bit() -> None:
    looper, dry = Looper(RATE), noise(1.0, RATE) * np.float32(-1.0)
    dry[::5] = -0.0
    heard = through(lambda block, _: looper.process(block, 0, 0.0, 1.0), dry)
    assert heard[: len(dry)].tobytes() == dry.tobytes()


@pytest.mark.parametrize("beat", [0.0, 7001.3])
@pytest.mark.parametrize("closed", [41, 68, 90])
def test_no_seam_clicks(closed: int, beat: float) -> None:
    """A tone whose period fits no loop, closed anywhere; overdubs, undo, silence, redo and clear in between."""
    looper, length = Looper(RATE), 1200
    presses = {
        5: RECORD, 5 + closed: RECORD, 400: RECORD, 447: RECORD, 600: UNDO, 655: UNDO, 700: STOP, 722: STOP,
        800: RECORD, 1000: UNDO, 1100: CLEAR,
    }  # fmt: skip
    sound = tone(length * HOP / RATE, 221.7)
    sound[:1600] *= np.linspace(0, 1, 1600)
    loop, states = played(looper, sound, presses, beat)
    assert {*states} >= {LoopState.RECORDING, LoopState.PLAYING, LoopState.OVERDUBBING, LoopState.SILENT}
    assert states[-1] is LoopState.EMPTY
    assert 0.3 <= np.abs(loop).max() < 10 * 0.3
    assert clicks(loop[:, 0]).tolist() == []


@pytest.mark.parametrize(
    ("closed_s", "beats"), [(1.9, 4), (2.1, 4), (2.24, 4), (2.26, 5), (0.1, 1), (0.7, 1), (0.8, 2)]
)
def test_with_a_tempo_it_is_a_whole_number_of_beats(closed_s: float, beats: int) -> None:
    looper, beat = Looper(RATE), 0.5 * RATE + 0.25
    sound = noise(8.0, RATE)
    sound[round(5 * RATE) :] = 0
    loop, states = played(looper, sound, {0: RECORD, hops(closed_s): RECORD}, beat)
    assert looper.length == int(beats * beat + 0.5)
    assert (LoopState.CLOSING in states) == (looper.length > hops(closed_s) * HOP)
    again = loop[4 * RATE : 4 * RATE + looper.length], loop[4 * RATE + looper.length : 4 * RATE + 2 * looper.length]
    assert np.allclose(again[0][:8000], again[1][:8000], atol=1e-6)
    # in time: what was played at the beginning is heard exactly one loop later
    at = next(k for k in range(1, 20) if k * looper.length > hops(closed_s) * HOP + 2 * FADE + HOP) * looper.length
    place = slice(at + FADE, at + FADE + 500)
    assert np.allclose(loop[place], sound[FADE : FADE + 500], atol=1e-6)


def test_overdubs_add_up_and_undo_takes_the_last_one_away_and_back() -> None:
    looper = Looper(RATE)
    size = 40
    ones = np.full((size * HOP, 2), 0.1, np.float32)
    sound = np.concatenate([ones, np.zeros_like(ones), 2 * ones, *[np.zeros_like(ones)] * 6])
    presses = {0: RECORD, size: RECORD, 2 * size: RECORD, 3 * size: RECORD, 5 * size: UNDO, 6 * size: UNDO}
    loop, _ = played(looper, sound, presses)

    def middle(round_: int) -> float:
        piece = loop[round_ * size * HOP + 4 * FADE : (round_ + 1) * size * HOP - FADE]
        assert np.ptp(piece) < 1e-6
        return float(piece.mean())

    levels = [middle(k) for k in range(1, 8)]
    assert levels == pytest.approx([0.1, 0.1, 0.3, 0.3, 0.1, 0.3, 0.3], abs=1e-6)
    assert looper.can_undo


def test_an_overdub_of_a_part_of_the_loop_keeps_the_rest() -> None:
    looper, size = Looper(RATE), 40
    first = noise(size * HOP / RATE, RATE)
    sound = np.zeros((8 * size * HOP, 2), np.float32)
    sound[: size * HOP] = first
    sound[(size + 10) * HOP : (size + 20) * HOP] = 0.2
    loop, states = played(looper, sound, {0: RECORD, size: RECORD, size + 10: RECORD, size + 20: RECORD})
    assert states[size + 20] is LoopState.PLAYING
    third, fourth = (loop[k * size * HOP : (k + 1) * size * HOP] for k in (3, 4))
    assert third.tobytes() == fourth.tobytes()
    added = third[2 * FADE :] - first[2 * FADE :]
    inside = slice(10 * HOP, 20 * HOP - 2 * FADE - FADE)
    assert np.allclose(added[inside], 0.2, atol=1e-5)
    assert np.allclose(added[: 10 * HOP - 3 * FADE], 0.0, atol=1e-6)
    assert np.allclose(added[20 * HOP :], 0.0, atol=1e-6)


def test_undo_while_overdubbing_drops_it_and_while_recording_drops_all() -> None:
    looper, size = Looper(RATE), 20
    sound = np.full((size * 12 * HOP, 2), 0.1, np.float32)
    loop, states = played(looper, sound, {0: RECORD, size: RECORD, 3 * size: RECORD, 6 * size + 5: UNDO})
    assert states[6 * size + 5] is LoopState.PLAYING
    assert np.allclose(loop[8 * size * HOP :], 0.1, atol=1e-6)
    _, states = played(Looper(RATE), sound, {0: RECORD, 5: UNDO})
    assert states[4:6] == [LoopState.RECORDING, LoopState.EMPTY]


def test_silent_it_goes_round_and_comes_back_in_time() -> None:
    looper, size = Looper(RATE), 25
    first = noise(size * HOP / RATE, RATE)
    sound = np.pad(first, ((0, 9 * len(first)), (0, 0)))
    loop, states = played(looper, sound, {0: RECORD, size: RECORD, 60: STOP, 130: PANIC, 160: RECORD})
    assert states[60] is LoopState.SILENT
    assert states[159] is LoopState.SILENT
    assert not loop[62 * HOP : 160 * HOP].any()
    assert np.allclose(loop[8 * len(first) : 9 * len(first)][FADE:], first[FADE:], atol=1e-6)


def test_its_memory_ends_and_the_loop_closes_by_itself() -> None:
    looper = Looper(RATE)
    silence = np.zeros((round((LOOPER_SECONDS + 2) * RATE), 2), np.float32)
    _, states = played(looper, silence, {0: RECORD})
    assert states[-1] is LoopState.PLAYING
    assert looper.length == LOOPER_SECONDS * RATE
    looper = Looper(RATE)
    _, states = played(looper, silence, {0: RECORD}, beat=0.7 * RATE)
    assert states[-1] is LoopState.PLAYING
    assert looper.length == int(85 * 0.7 * RATE + 0.5)


def test_presses_that_can_do_nothing_are_counted_and_do_nothing() -> None:
    looper = Looper(RATE)
    _, states = played(looper, np.zeros((20 * HOP, 2)), {0: UNDO, 2: STOP, 4: CLEAR, 6: PANIC, 8: RECORD, 19: RECORD})
    assert set(states[:8]) == {LoopState.EMPTY}
    assert looper.refused == 3
    played(looper, np.zeros((20 * HOP, 2)), {0: UNDO})
    assert looper.refused == 4
    played(looper, np.zeros((40 * HOP, 2)), {0: CLEAR, 1: RECORD})
    assert looper.state == LoopState.RECORDING  # pressed while it faded out: it waited


def test_the_same_presses_are_the_same_loop_to_the_bit() -> None:
    sound = noise(6.0, RATE)
    presses = {3: RECORD, 70: RECORD, 90: RECORD, 150: RECORD, 200: UNDO, 230: STOP, 260: STOP, 300: RECORD}
    once, again = (played(Looper(RATE), sound, presses, 5000.0, 0.7)[0] for _ in range(2))
    assert once.tobytes() == again.tobytes()
    assert np.abs(once).max() > 0.1


def test_what_is_no_number_is_not_kept() -> None:
    looper = Looper(RATE)
    sound = noise(2.0, RATE)
    sound[2000] = np.nan, -np.inf
    loop = through(lambda block, hop: looper.process(block, RECORD * (hop in (0, 40)), 0.0, 1.0), sound)
    assert np.isfinite(loop).all()
    assert looper.nonfinite == 2
    through(lambda block, hop: looper.process(block, RECORD * (hop == 0), np.nan, np.nan), noise(1.0, RATE))
