"""From what is set and played to the settings of a hop, and through the three effects: order, panic, state, words."""

from __future__ import annotations

import dataclasses
import math

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
