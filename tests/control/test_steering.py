"""What a request does to the controls: by an amount, to a value, and never further than it may go."""

from __future__ import annotations

import math

import pytest

from livemove.body.notes import SCALES
from livemove.contracts import Action, ControlError, Controls, Request
from livemove.control.steering import choose, steer
from livemove.controls import SNAP_AS_MAPPED

PRESETS = [Controls(gain=0.5, model=1, octave=1), Controls(gain=0.25, model=2)]


@pytest.mark.parametrize(
    ("before", "request_", "after"),
    [
        (Controls(gain=0.5), Request(Action.GAIN, 0.0, True), Controls(gain=1.0)),
        (Controls(), Request(Action.GAIN, -500.0, True), Controls(gain=0.001)),
        (Controls(mute=True), Request(Action.MUTE, 1.0, True), Controls(mute=True)),
        (Controls(mute=True), Request(Action.MUTE, 0.0, True), Controls()),
        (Controls(), Request(Action.TEMPERATURE, 9.0, True), Controls(temperature=4.0)),
        (Controls(), Request(Action.STYLE, 7.0, True), Controls(style=2)),
        (Controls(), Request(Action.FREEZE), Controls(freeze=True)),
        (Controls(freeze=True), Request(Action.FREEZE), Controls()),
        (Controls(freeze=True), Request(Action.PANIC), Controls(mute=True, panics=1)),
        (Controls(octave=4), Request(Action.OCTAVE, 1.0), Controls(octave=4)),
        (Controls(), Request(Action.OCTAVE, -2.0), Controls(octave=-2)),
        (Controls(), Request(Action.SCALE, -1.0), Controls(scale=len(SCALES))),
        (Controls(scale=len(SCALES)), Request(Action.SCALE, 1.0), Controls()),
        (Controls(root=12), Request(Action.ROOT, 1.0), Controls()),
        (Controls(look_ahead_s=0.0), Request(Action.LOOK_AHEAD, 40.0), Controls(look_ahead_s=0.04)),
        (Controls(), Request(Action.LOOK_AHEAD, 900.0), Controls(look_ahead_s=0.08)),
        (Controls(), Request(Action.SNAP, 0.1), Controls(snap=0.9)),  # from how closely a scale holds without it
        (Controls(snap=0.5), Request(Action.SNAP, -0.1), Controls(snap=0.4)),
        (Controls(), Request(Action.SNAP, 7.0, True), Controls(snap=1.0)),
        (Controls(snap=0.5), Request(Action.SNAP, SNAP_AS_MAPPED, True), Controls()),
        (Controls(), Request(Action.RELOAD), Controls(reloads=1)),
        (Controls(style=2), Request(Action.MODEL, 1.0), Controls(model=1)),
        (Controls(model=3), Request(Action.MODEL, 1.0), Controls()),
        (Controls(), Request(Action.MODEL, -1.0), Controls(model=3)),
        (Controls(), Request(Action.MODEL, 99.0, True), Controls(model=3)),
        (Controls(), Request(Action.PRESET, 1.0), Controls(gain=0.5, model=1, octave=1, preset=1)),
        (Controls(preset=1), Request(Action.PRESET, 1.0), Controls(gain=0.25, model=2, preset=2)),
        (Controls(preset=2, mute=True, panics=3), Request(Action.PRESET, 0.0, True),
         Controls(gain=0.5, model=1, octave=1, preset=1, mute=True, panics=3)),
        (Controls(), Request(Action.LEARN, Action.GAIN), Controls(learn=Action.GAIN)),
        (Controls(), Request(Action.GAIN_2, -60.0, True), Controls(gains=(1.0, 0.001, 1.0, 1.0))),
        (Controls(gains=(0.1, 1.0, 1.0, 1.0)), Request(Action.GAIN_1, 20.0), Controls()),
        (Controls(), Request(Action.PAN_4, 7.0, True), Controls(pans=(0.0, 0.0, 0.0, 1.0))),
        (Controls(pans=(0.5, 0.0, 0.0, 0.0)), Request(Action.PAN_1, -0.75), Controls(pans=(-0.25, 0.0, 0.0, 0.0))),
        (Controls(), Request(Action.MODEL, float("inf")), Controls()),
        (Controls(), Request(Action.OCTAVE, float("nan"), True), Controls()),
        (Controls(), Request(Action.STOP), Controls()),
        (Controls(), Request(Action.REVERB, 0.3, True), Controls(reverb=0.3)),
        (Controls(reverb=0.3), Request(Action.REVERB, -1.0), Controls()),
        (Controls(), Request(Action.REVERB_DECAY, 99.0, True), Controls(reverb_decay_s=20.0)),
        (Controls(), Request(Action.DELAY_TIME, 50.0), Controls(delay_time_ms=450.0)),
        (Controls(), Request(Action.DELAY_BEATS, 0.75, True), Controls(delay_beats=0.75)),
        (Controls(), Request(Action.LOOP_QUANTIZE, 3.0, True), Controls(loop_quantize=2.0)),
        (Controls(loop_quantize=2.0), Request(Action.LOOP_QUANTIZE, 1.0), Controls(loop_quantize=4.0)),
        (Controls(loop_quantize=4.0), Request(Action.LOOP_QUANTIZE, -1.0), Controls(loop_quantize=2.0)),
        (Controls(loop_quantize=4.0), Request(Action.LOOP_QUANTIZE, 1.0), Controls(loop_quantize=4.0)),
        (Controls(), Request(Action.DELAY_FEEDBACK, 7.0, True), Controls(delay_feedback=0.95)),
        (Controls(), Request(Action.TEMPO, 1.0), Controls(tempo=120.0)),
        (Controls(tempo=120.0), Request(Action.TEMPO, 1.0), Controls(tempo=121.0)),
        (Controls(tempo=20.0), Request(Action.TEMPO, -1.0), Controls()),
        (Controls(tempo=90.0), Request(Action.TEMPO, 7.0, True), Controls()),
        (Controls(loops=1), Request(Action.LOOP), Controls(loops=2)),
        (Controls(), Request(Action.LOOP_UNDO), Controls(loop_undos=1)),
        (Controls(), Request(Action.LOOP_STOP), Controls(loop_stops=1)),
        (Controls(), Request(Action.LOOP_CLEAR), Controls(loop_clears=1)),
        (Controls(loops=3, loop_clears=2, reverb=0.5), Request(Action.PRESET, 0.0, True),
         Controls(gain=0.5, model=1, octave=1, preset=1, loops=3, loop_clears=2)),
    ],
)  # fmt: skip
def test_a_request_changes_what_it_says_and_nothing_else(before: Controls, request_: Request, after: Controls) -> None:
    assert steer(before, request_, styles=3, models=4, presets=PRESETS) == after


def test_without_presets_there_is_none_to_go_to() -> None:
    assert steer(Controls(), Request(Action.PRESET, 1.0), styles=1) == Controls()


CAMERAS = ["0", "stage left.mp4", "rtsp://10.0.0.2/stage"]
CARDS = ["0 jack (ALSA)", "1 USB Audio (ALSA)", "2 USB Audio Pro (ALSA)", "10 system (JACK)", "12 twin (ALSA)"]


@pytest.mark.parametrize(
    ("names", "now", "request_", "chosen"),
    [
        (CAMERAS, 0, Request(Action.CAMERA, 1.0), "stage left.mp4"),
        (CAMERAS, 2, Request(Action.CAMERA, 1.0), "0"),
        (CAMERAS, 0, Request(Action.CAMERA, -1.0), "rtsp://10.0.0.2/stage"),
        (CAMERAS, -1, Request(Action.CAMERA, 1.0), "0"),
        (CAMERAS, -1, Request(Action.CAMERA, -1.0), "rtsp://10.0.0.2/stage"),
        (CAMERAS, 0, Request(Action.CAMERA, 1.0, True), "stage left.mp4"),
        (CAMERAS, 0, Request(Action.CAMERA, 99.0, True), "rtsp://10.0.0.2/stage"),
        (CAMERAS, 0, Request(Action.CAMERA, float("nan")), None),
        ([], -1, Request(Action.CAMERA, 1.0), None),
        (CAMERAS, 1, Request(Action.CAMERA, text="0"), "0"),
        (CAMERAS, 0, Request(Action.CAMERA, text="LEFT"), "stage left.mp4"),
        (CAMERAS, 0, Request(Action.CAMERA, text="7"), "7"),
        (CARDS, 0, Request(Action.DEVICE, text="1"), "1 USB Audio (ALSA)"),
        (CARDS, 0, Request(Action.DEVICE, text="usb audio"), "1 USB Audio (ALSA)"),
        (CARDS, 0, Request(Action.DEVICE, text="usb audio pro"), "2 USB Audio Pro (ALSA)"),
        (CARDS, 0, Request(Action.DEVICE, text="system (JACK)"), "10 system (JACK)"),
        (CARDS, 0, Request(Action.DEVICE, text="12 twin (ALSA)"), "12 twin (ALSA)"),
        (CARDS, 0, Request(Action.DEVICE, text="Theremin 3000"), "Theremin 3000"),
        ([], 0, Request(Action.DEVICE, text="USB"), "USB"),
    ],
)  # fmt: skip
def test_cameras_and_audio_devices_are_chosen_by_place_number_or_name(
    names: list[str], now: int, request_: Request, chosen: str | None
) -> None:
    assert choose(request_, names, now) == chosen


def test_a_part_of_several_names_is_not_guessed_at() -> None:
    with pytest.raises(ControlError, match=r"'usb' fits several: 1 USB Audio \(ALSA\), 2 USB Audio Pro"):
        choose(Request(Action.DEVICE, text="usb"), CARDS, 0)


def test_the_weight_of_a_style_begins_from_the_style_that_is_set() -> None:
    def ask(controls: Controls, action: Action, amount: float, absolute: bool = True, styles: int = 3) -> Controls:
        return steer(controls, Request(action, amount, absolute), styles)

    blended = ask(Controls(style=1), Action.STYLE_3, 0.5)
    assert blended == Controls(style=1, styles=(0.0, 1.0, 0.5))
    assert ask(blended, Action.STYLE_2, 0.0) == Controls(style=2, styles=(0.0, 0.0, 0.5))
    assert ask(blended, Action.STYLE_3, -0.2, absolute=False).styles == pytest.approx((0.0, 1.0, 0.3))
    assert ask(blended, Action.STYLE_1, 7.0).styles == (1.0, 1.0, 0.5)
    assert ask(blended, Action.STYLE_1, math.nan) == blended
    assert ask(blended, Action.STYLE, 1.0, absolute=False) == Controls(style=2)  # a key: one alone
    assert ask(blended, Action.MODEL, 0.0) == Controls()
    assert ask(ask(blended, Action.STYLE_2, 0.0), Action.STYLE_3, 0.0) == Controls()  # all 0: as the mapping says
    assert ask(Controls(), Action.STYLE_4, 1.0) == Controls()  # there is no fourth
    for styles in (0, 1, 9):
        assert ask(Controls(), Action.STYLE_1, 1.0, styles=styles) == Controls()
