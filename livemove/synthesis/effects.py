"""Looper, delay and reverberation on the mixed hop: what is set and played -> settings; settings and a hop -> the hop.

In: float32 [HOP, 2] from the mixer, controls, what the mapping plays, the tempo. Out: the same hop with the effects
added, bit by bit what came in while nothing is sent to any of them. The settings of a hop are all that its effects
depend on besides their state: takes keep them, and play them again. Knows no process and no clock; the work is
native/effects.

    voices -> mixer -> looper -+-> + -------------------+-> + -> ring
                               +-> delay (send) -> + --+    ^
                                                   +-> reverb (send)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from livemove.body.beat import BEAT_INPUTS, has_beat, until_part
from livemove.body.effect_routes import PLAYED
from livemove.contracts import HOP, Controls, Float32
from livemove.controls import LOOP_PARTS, LOWEST_TEMPO
from livemove.ipc.loop_status import LoopState, LoopStatus
from livemove.native._effects import DELAY_LONGEST, LOOPER_SECONDS, Delay, Looper, Reverb

SETTINGS = (
    *("reverb", "reverb_decay_s", "reverb_damping"),
    *("delay", "delay_s", "delay_feedback"),
    *("loop_level", "loop_beat", "loop_pressed"),
)
"""Of a hop, float32 each. loop_beat: samples of a beat, 0 without a tempo; loop_pressed: bits, those of
native/effects/looper.hpp."""

RECORD, UNDO, STOP, CLEAR, PANIC = 1, 2, 4, 8, 16
"""Bits of loop_pressed. The last one is a panic: delay and reverberation are forgotten, too."""

_COUNTS = {"loops": RECORD, "loop_undos": UNDO, "loop_stops": STOP, "loop_clears": CLEAR, "panics": PANIC}
"""Of Controls, what counts: with each new one the bit is set for a hop."""


TEMPO_INPUTS = ("link.tempo", "clock.tempo")
"""External inputs that give a tempo, in beats a minute; the first that has come counts."""

STATES = ("effects.delay", "effects.reverb")
"""Names of the arrays of a state."""


NO_BEAT = (math.nan,) * len(BEAT_INPUTS)
"""Nobody gives one."""


class EffectSettings:
    """From what is set to the settings of each hop. `controls` as they are at the start: only what changes later is
    acted upon. notices: lines for the person about a press that waits, as they come; who shows them takes them out."""

    def __init__(self, rate: int, controls: Controls) -> None:
        self._rate = rate
        self._waits_s: float | None = None  # so long the looper's main pedal still waits for the beat
        self.notices: list[str] = []
        self._counts = {name: getattr(controls, name) for name in _COUNTS}
        self._settings = np.zeros(len(SETTINGS), np.float32)

    def step(
        self, controls: Controls, played: Float32 | None = None, link_tempo: float = math.nan,
        beat: Sequence[float] = NO_BEAT,
    ) -> Float32:  # fmt: skip
        """float32 [SETTINGS], good until the next call.

        played: float32 [PLAYED], what the mapping plays, which comes before what is set; NaN: it does not play that.
        link_tempo: beats a minute of who else plays, NaN where nobody does: it comes before the tempo that is set.
        beat: values of body.beat.BEAT_INPUTS, as they are when this hop is heard.
        """
        beat_s = beat_seconds(controls.tempo, link_tempo)
        counts = {name: getattr(controls, name) for name in _COUNTS}
        pressed = sum(bit for name, bit in _COUNTS.items() if counts[name] != self._counts[name])
        self._counts = counts
        pressed = self._on_beat(pressed, controls.loop_quantize, beat)
        self._settings[:] = (
            *(controls.reverb, controls.reverb_decay_s, controls.reverb_damping),
            *(controls.delay, delay_seconds(controls, beat_s), controls.delay_feedback),
            *(controls.loop_level, beat_s * self._rate, pressed),
        )
        if played is not None:
            for name, value in zip(PLAYED, played.tolist(), strict=True):
                if name in SETTINGS and math.isfinite(value):
                    self._settings[SETTINGS.index(name)] = value
        return self._settings

    def _on_beat(self, pressed: int, part: float, beat: Sequence[float]) -> int:
        """What is pressed in this hop. The main pedal is kept for the hop nearest to the next multiple of `part` beats;
        another press of it meanwhile is the same to the beat, and each other pedal calls it off, undo with nothing
        else."""
        if pressed & RECORD and part > 0.0 and self._waits_s is None:
            self._waits_s = until_part(beat, part)
            if not has_beat(beat):
                self.notices.append("loop: nobody gives a beat (--link, or a MIDI clock in), so it does not wait")
            elif self._waits_s > 0.0:
                self.notices.append(f"loop: waits for the {'bar' if part == LOOP_PARTS[-1] else 'beat'}")
        if self._waits_s is None:
            return pressed
        if pressed & ~RECORD:
            self._waits_s = None
            self.notices.append("loop: does not wait any more")
            return pressed & ~(RECORD | UNDO)
        if self._waits_s > 0.5 * HOP / self._rate:
            self._waits_s -= HOP / self._rate
            return 0
        self._waits_s = None
        return RECORD


def beat_seconds(tempo: float, link_tempo: float = math.nan) -> float:
    """Of one beat; 0: there is no tempo."""
    tempo = link_tempo if link_tempo >= LOWEST_TEMPO else tempo
    return 60.0 / tempo if tempo >= LOWEST_TEMPO else 0.0


def delay_seconds(controls: Controls, beat_s: float) -> float:
    """In beats where both beats and a tempo are set, halved until the delay can do it; else the time that is set."""
    seconds = controls.delay_beats * beat_s
    if seconds <= 0.0:
        return controls.delay_time_ms / 1e3
    while seconds > DELAY_LONGEST:
        seconds /= 2.0
    return seconds


class Effects:
    """The three effects of a session, at the models' rate. notices: lines for the person about the loop, as they come;
    who shows them takes them out."""

    def __init__(self, rate: int) -> None:
        """Takes the looper's memory: two tapes of LOOPER_SECONDS, 46 MB at 48 kHz."""
        self._rate = rate
        self._looper = Looper(rate)
        self._delay = Delay(rate)
        self._reverb = Reverb(rate)
        self._before = np.zeros((HOP, 2), np.float32)
        self._beat = 0.0
        self._loop = LoopState.EMPTY
        self._refused = 0
        self.notices: list[str] = []

    def process(self, block: Float32, settings: Float32, dry: bool = False) -> Float32:
        """block float32 [HOP, 2], C-contiguous, worked on in place; settings as `EffectSettings` gives them. dry:
        neither delay nor reverberation, for a file that is mixed elsewhere."""
        reverb, decay_s, damping, delay, delay_s, feedback, level, beat, pressed = settings.tolist()
        bits = int(pressed) if 0.0 <= pressed <= 31.0 else 0
        self._looper.process(block, bits, beat, level)
        if bits or self._looper.state != self._loop:
            self._tell(bits, beat)
        if dry:
            return block
        panic = bool(bits & PANIC) and (self._delay.awake or self._reverb.awake)
        if panic:
            self._before[:] = block
        self._delay.process(block, delay, delay_s, feedback)
        self._reverb.process(block, reverb, decay_s, damping)
        if panic:  # what rings fades out over this hop, and is forgotten
            block -= self._before
            block *= _FALL
            block += self._before
            self._delay.reset()
            self._reverb.reset()
        return block

    @property
    def nonfinite(self) -> int:
        """Samples so far that were no numbers, and were made 0."""
        return self._looper.nonfinite + self._delay.nonfinite + self._reverb.nonfinite

    @property
    def loop(self) -> LoopStatus:
        looper = self._looper
        state = LoopState(looper.state)
        if state in (LoopState.EMPTY, LoopState.RECORDING, LoopState.CLOSING):
            return LoopStatus(state, looper.recorded / self._rate)
        beats = looper.length / self._beat if self._beat else 0.0
        return LoopStatus(state, looper.length / self._rate, round(beats, 2), looper.at / self._rate)

    def state(self) -> tuple[dict[str, Any], dict[str, Float32]]:
        """(head, arrays): all that the delay and the reverberation depend on, few numbers while they are silent. The
        loop is not in it; head says whether there is one."""
        head: dict[str, Any] = {"loop": self._looper.state != LoopState.EMPTY}
        return head, dict(zip(STATES, (self._delay.state(), self._reverb.state()), strict=True))

    def set_state(self, arrays: dict[str, Any]) -> None:
        """Go on from what `state` gave; what is not there, or another rate's, is silent. There is no loop."""
        self._looper.forget()
        for name, effect in zip(STATES, (self._delay, self._reverb), strict=True):
            array = arrays.get(name)
            effect.reset()
            try:
                if array is not None:
                    effect.set_state(np.ascontiguousarray(array, np.float32))
            except (ValueError, TypeError):
                effect.reset()

    def _tell(self, bits: int, beat: float) -> None:
        """What became of a press, or that a loop has closed."""
        looper, before = self._looper, self._loop
        state = self._loop = LoopState(looper.state)
        if before in (LoopState.RECORDING, LoopState.CLOSING) and state not in (LoopState.EMPTY, before):
            self._beat = beat if state is not LoopState.CLOSING else self._beat
        if looper.refused != self._refused:
            self._refused = looper.refused
            self.notices.append("loop: nothing to undo" if bits & UNDO and before else "loop: there is none yet")
        elif state is not before:
            self.notices.append(_told(before, state, self.loop))
        elif bits & UNDO:
            self.notices.append("loop: undo; once more: redo")


_FALL = np.cos(0.5 * np.pi * (np.arange(HOP) + 0.5) / HOP).astype(np.float32)[:, None] ** 2
"""float32 [HOP, 1]: a fade out."""


def _told(before: LoopState, state: LoopState, now: LoopStatus) -> str:
    """The line about a change of the loop's state."""
    if state is LoopState.EMPTY:
        return "loop: not kept" if before in (LoopState.RECORDING, LoopState.CLOSING) else "loop: cleared"
    if state is LoopState.PLAYING and before in (LoopState.OVERDUBBING, LoopState.SILENT):
        return "loop: plays" if before is LoopState.OVERDUBBING else "loop: heard again"
    return {
        LoopState.RECORDING: f"loop: records; once more closes it ({LOOPER_SECONDS:.0f} s at most)",
        LoopState.CLOSING: "loop: closes on the beat",
        LoopState.PLAYING: now.words.replace("loop ", "loop: ", 1),
        LoopState.OVERDUBBING: "loop: overdubs; once more ends it",
        LoopState.SILENT: "loop: silent, and goes round: the same brings it back",
    }[state]
