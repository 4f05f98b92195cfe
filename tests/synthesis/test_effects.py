"""From what is set and played to the settings of a hop, and through the three effects: order, panic, state, words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from livemove.body.effect_routes import PLAYED
from livemove.contracts import HOP, Controls, Float32
from livemove.ipc.loop_status import LoopState
from livemove.synthesis.effects import (
    CLEAR,
    PANIC,
    RECORD,
    SETTINGS,
    STOP,
    UNDO,
    Effects,
    EffectSettings,
    beat_seconds,
    delay_seconds,
)
from tests.support.clicks import clicks
from tests.support.effects import noise, stereo, through

RATE = 48000


def of(settings: Float32) -> dict[str, float]:
    return dict(zip(SETTINGS, settings.tolist(), strict=True))


def test_settings_are_what_is_set_and_presses_last_one_hop() -> None:
    controls = Controls(reverb=0.25, delay=0.5, delay_time_ms=300.0, loop_level=0.75, loops=4)
    settings = EffectSettings(RATE, controls)
    first = of(settings.step(controls))
    assert first["reverb"] == 0.25
    assert first["delay_s"] == pytest.approx(0.3)
    assert first["loop_pressed"] == 0  # from before
    pressed = dataclasses.replace(controls, loops=5, loop_clears=1, panics=1)
    assert of(settings.step(pressed))["loop_pressed"] == RECORD | CLEAR | PANIC
    assert of(settings.step(pressed))["loop_pressed"] == 0
    later = dataclasses.replace(pressed, loop_undos=1, loop_stops=3)
    assert of(settings.step(later))["loop_pressed"] == UNDO | STOP


def test_what_the_mapping_plays_comes_before_what_is_set() -> None:
    settings = EffectSettings(RATE, Controls())
    played = np.array([0.3, np.nan, 0.12, -1.0], np.float32)
    assert len(played) == len(PLAYED)
    found = of(settings.step(Controls(reverb=0.9, delay=0.8), played))
    assert (found["reverb"], found["delay"]) == (pytest.approx(0.3), pytest.approx(0.8))
    assert found["delay_s"] == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("tempo", "link", "beat_s"),
    [(0.0, math.nan, 0.0), (120.0, math.nan, 0.5), (120.0, 90.0, 60 / 90), (0.0, 60.0, 1.0), (19.0, 5.0, 0.0)],
)
def test_somebody_elses_tempo_comes_before_ours(tempo: float, link: float, beat_s: float) -> None:
    assert beat_seconds(tempo, link) == pytest.approx(beat_s)
    found = of(EffectSettings(RATE, Controls()).step(Controls(tempo=tempo), None, link))
    assert found["loop_beat"] == pytest.approx(beat_s * RATE)


def test_a_delay_in_beats_needs_a_tempo_and_is_halved_until_it_fits() -> None:
    controls = Controls(delay_time_ms=250.0, delay_beats=0.75)
    assert delay_seconds(controls, 0.0) == 0.25
    assert delay_seconds(controls, 0.5) == pytest.approx(0.375)
    assert delay_seconds(dataclasses.replace(controls, delay_beats=4.0), 1.0) == 2.0
    assert delay_seconds(dataclasses.replace(controls, delay_beats=3.0), 1.0) == 1.5


# --- the looper's main pedal, kept for the beat -----------------------------------------------------------------

NAN = math.nan
TEMPO = 120.0


def pedals(
    part: float, todo: dict[float, str], seconds: float, beat: Callable[[float], tuple[float, ...]]
) -> tuple[list[tuple[float, int]], list[str]]:
    """([(seconds, bits that the looper is told then)], lines for the person), hop by hop; todo: when which pedal of
    Controls is pressed."""
    settings, controls = EffectSettings(RATE, Controls()), Controls(loop_quantize=part)
    left, told = sorted(todo.items()), list[tuple[float, int]]()
    for hop in range(round(seconds * RATE / HOP)):
        at_s = hop * HOP / RATE
        while left and left[0][0] <= at_s:
            name = left.pop(0)[1]
            controls = dataclasses.replace(controls, **{name: getattr(controls, name) + 1})
        bits = int(of(settings.step(controls, None, TEMPO, beat(at_s)))["loop_pressed"])
        told += [(at_s, bits)] * (bits > 0)
    return told, settings.notices


def link(at_s: float) -> tuple[float, ...]:
    """Link's beat, from 0 on."""
    return TEMPO, at_s * TEMPO / 60.0 / 4.0 % 1.0, NAN, NAN, NAN


@pytest.mark.parametrize(("part", "beats"), [(0.0, [0.6, 2.9]), (1.0, [1.0, 3.0]), (2.0, [2.0, 4.0]), (4.0, [4.0])])
def test_a_quantized_loop_is_pressed_in_the_hop_nearest_to_the_beat(part: float, beats: list[float]) -> None:
    """Both presses of half a bar's time come before the first bar: they are one."""
    told, notices = pedals(part, {0.3: "loops", 1.45: "loops"}, 2.6, link)
    assert [bits for _, bits in told] == [RECORD] * len(beats)
    assert [at_s for at_s, _ in told] == pytest.approx([beat * 60.0 / TEMPO for beat in beats], abs=HOP / RATE)
    assert notices == [f"loop: waits for the {'bar' if part == 4.0 else 'beat'}"] * len(beats) * (part > 0.0)


def test_a_press_that_comes_a_little_late_was_meant_for_the_beat() -> None:
    told, notices = pedals(1.0, {0.52: "loops"}, 1.2, link)
    assert [at_s for at_s, _ in told] == pytest.approx([0.52], abs=HOP / RATE)
    assert notices == []


def test_without_a_beat_nothing_waits_and_a_line_says_so() -> None:
    told, notices = pedals(4.0, {0.3: "loops"}, 0.5, lambda _: (NAN, NAN, TEMPO, 0.2, 0.0))
    assert [at_s for at_s, _ in told] == pytest.approx([0.3], abs=HOP / RATE)
    assert len(notices) == 1
    assert "nobody gives a beat" in notices[0]


@pytest.mark.parametrize(("pedal", "bits"), [("loop_undos", 0), ("loop_stops", STOP), ("loop_clears", CLEAR)])
def test_another_pedal_calls_off_what_waits(pedal: str, bits: int) -> None:
    told, notices = pedals(4.0, {0.3: "loops", 0.6: pedal}, 2.5, link)
    assert [each for _, each in told] == [bits] * (bits > 0)
    assert notices[-1] == "loop: does not wait any more"


def test_a_quantized_loop_is_whole_beats_long_from_a_beat_on() -> None:
    """Through the looper: what is played goes round in time, whenever the pedal was pressed."""
    effects, settings, controls = Effects(RATE), EffectSettings(RATE, Controls()), Controls(loop_quantize=1.0)
    states: list[tuple[float, LoopState]] = []
    for hop in range(round(2.5 * RATE / HOP)):
        at_s = hop * HOP / RATE
        controls = dataclasses.replace(controls, loops=(at_s >= 0.3) + (at_s >= 1.3))  # beats 0.6 and 2.6
        effects.process(noise(HOP / RATE, RATE, hop), settings.step(controls, None, TEMPO, link(at_s)))
        if not states or effects.loop.state is not states[-1][1]:
            states.append((at_s, effects.loop.state))
    assert [state for _, state in states[:2]] == [LoopState.EMPTY, LoopState.RECORDING]
    assert states[1][0] == pytest.approx(0.5, abs=HOP / RATE)
    assert states[-1][1] is LoopState.PLAYING
    assert states[-1][0] == pytest.approx(1.5, abs=2 * HOP / RATE)
    assert (effects.loop.seconds, effects.loop.beats) == (1.0, 2.0)


# --- through all of them --------------------------------------------------------------------------------------


class Stage:
    """Effects with their settings, driven by controls."""

    def __init__(self, rate: int = RATE) -> None:
        self.effects, self.settings = Effects(rate), EffectSettings(rate, Controls())

    def play(self, sound: np.ndarray, controls: Controls, dry: bool = False) -> Float32:
        return through(lambda block, _: self.effects.process(block, self.settings.step(controls), dry), sound)


def test_with_nothing_set_it_is_dry_to_the_bit() -> None:
    sound = noise(0.5, RATE)
    sound[::9] = -0.0
    assert Stage().play(sound, Controls())[: len(sound)].tobytes() == sound.tobytes()


def test_dry_leaves_out_delay_and_reverberation_but_not_the_loop() -> None:
    sound = np.pad(noise(0.512, RATE), ((0, 24576), (0, 0)))
    wet = Controls(reverb=0.5, delay=0.5)
    stage = Stage()
    stage.play(sound[:HOP], dataclasses.replace(wet, loops=1), dry=True)
    stage.play(sound[HOP:24576], dataclasses.replace(wet, loops=1), dry=True)
    heard = stage.play(sound[24576:], dataclasses.replace(wet, loops=2), dry=True)
    assert np.allclose(heard[HOP + 480 : 20000], sound[HOP + 480 : 20000], atol=1e-6)


def test_echoes_ring_too() -> None:
    """The delay is in front of the reverberation: an echo alone has a tail."""
    click = np.zeros((RATE, 2), np.float32)
    click[HOP] = 1.0  # levels are there after a hop
    both = Stage().play(click, Controls(reverb=1.0, delay=1.0, delay_time_ms=500.0, delay_feedback=0.0))
    only = Stage().play(click, Controls(reverb=1.0))
    difference = both - only
    assert not difference[: HOP + RATE // 2].any()
    assert np.abs(difference[HOP + RATE // 2 + 5000 :]).max() > 1e-3


def test_a_panic_ends_all_that_rings_within_a_hop_and_without_a_click() -> None:
    stage, wet = Stage(), Controls(reverb=1.0, delay=1.0, reverb_decay_s=10.0, delay_feedback=0.9, delay_time_ms=50.0)
    t = np.arange(RATE) / RATE
    ringing = stage.play(0.3 * np.sin(2 * np.pi * 200 * t) * np.clip(20 * t, 0, np.clip(20 * (1 - t), 0, 1)), wet)
    silence = np.zeros((8 * HOP, 2), np.float32)
    before = stage.play(silence, wet)
    after = stage.play(silence, dataclasses.replace(wet, panics=1))
    assert np.abs(before).max() > 0.1
    assert not after[HOP:].any()
    assert clicks(np.concatenate([ringing, before, after])[:, 0][-30 * HOP :]).tolist() == []


def test_it_goes_on_from_its_state_to_the_bit_but_for_the_loop() -> None:
    one, two, wet = Stage(), Stage(), Controls(reverb=0.4, delay=0.6)
    sound = noise(1.0, RATE)
    assert sum(map(len, one.effects.state()[1].values())) < 100
    one.play(sound, wet)
    head, arrays = one.effects.state()
    assert head == {"loop": False}
    two.effects.set_state({name: array.copy() for name, array in arrays.items()})
    assert one.play(sound, wet).tobytes() == two.play(sound, wet).tobytes()
    one.play(sound[:HOP], dataclasses.replace(wet, loops=1))
    assert one.effects.state()[0] == {"loop": True}
    two.effects.set_state({"effects.delay": np.zeros(3), "effects.reverb": np.zeros((2, 2), np.float32)})
    assert two.play(sound, Controls())[: len(sound)].tobytes() == sound.tobytes()


def test_what_becomes_of_presses_is_told_once_each() -> None:
    stage, counts = Stage(16000), {"loops": 0, "loop_undos": 0, "loop_stops": 0, "loop_clears": 0}
    told: list[str] = []

    def press(name: str, hops: int = 40) -> None:
        counts[name] += 1
        stage.play(np.full((hops * HOP, 2), 0.1, np.float32), Controls(tempo=120.0, **counts))
        told.extend(stage.effects.notices)
        stage.effects.notices.clear()

    for name in ("loop_undos", "loops", "loops", "loops", "loops", "loop_undos", "loop_stops", "loops", "loop_clears"):
        press(name)
    assert told == [
        "loop: there is none yet",
        "loop: records; once more closes it (60 s at most)",
        "loop: 0.5 s, 1 beats",
        "loop: overdubs; once more ends it",
        "loop: plays",
        "loop: undo; once more: redo",
        "loop: silent, and goes round: the same brings it back",
        "loop: heard again",
        "loop: cleared",
    ]


def test_its_words_say_what_it_does() -> None:
    stage = Stage(16000)
    assert stage.effects.loop.words == ""
    silence = stereo(np.zeros(16000))
    stage.play(silence, Controls(tempo=120.0, loops=1))
    assert stage.effects.loop.words == "LOOP RECORDS 1 s"
    stage.play(silence, Controls(tempo=120.0, loops=2))
    assert stage.effects.loop.state is LoopState.PLAYING
    assert stage.effects.loop.words == "loop 1.0 s, 2 beats"
    stage.play(silence, Controls(tempo=120.0, loops=3))
    assert stage.effects.loop.words == "LOOP OVERDUBS 1.0 s, 2 beats"
