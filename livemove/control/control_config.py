"""What the control process is told: plain, picklable, importable without python-osc or mido."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from livemove.contracts import Channel, ControlError
from livemove.numbers import place, shown

LOCAL = "127.0.0.1"
"""Who listens here is not heard by the network."""


@dataclass(frozen=True)
class ControlConfig:
    """Every way in and out that is wanted; None: not that one.

    osc, osc_out      (host, port) to listen at, to send to
    midi, midi_out    part of a port's name; "" the first port there is
    mpe               to midi_out as MPE; else as control changes
    midi_clock        to midi_out a clock as well, at Link's beat or at the tempo that is set
    link              join the Ableton Link session
    learnt            file of what was learnt by moving knobs
    models, presets   names, in the order of their numbers
    channels, styles  each model's; of styles the names
    second            for each model, what the second dancer plays first: where its channels begin among those of all
                      layers, and they themselves; (0, ()) where the second dancer plays no layer
    """

    osc: tuple[str, int] | None = None
    osc_out: tuple[str, int] | None = None
    midi: str | None = None
    midi_out: str | None = None
    mpe: bool = False
    midi_clock: bool = False
    link: bool = False
    learnt: Path | None = None
    models: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    channels: tuple[tuple[Channel, ...], ...] = ()
    styles: tuple[tuple[str, ...], ...] = ()
    second: tuple[tuple[int, tuple[Channel, ...]], ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self.link or any(each is not None for each in (self.osc, self.osc_out, self.midi, self.midi_out))

    @property
    def beat(self) -> str | None:
        """Whose beat there may be: Link's, else that of a MIDI clock that comes in."""
        return "link" if self.link else self.midi


def address(text: str) -> tuple[str, int]:
    """ "9000" (this machine only), "HOST:9000" or "[IPv6]:9000" -> host, port. Raises ControlError."""
    host, _, port = text.rpartition(":")
    number = place(port)
    if number is None or not 0 < number < 65536:
        raise ControlError(
            f"{shown(text)} is no address: write a port, as in 9000, or host:port, as in 192.168.0.7:9000"
        )
    return host.strip("[]") or LOCAL, number
