"""When each packet and frame of a file is due, in seconds that only rise, whatever the file says of it.

In: packets in the order of the file, frames in the order of showing. Out: seconds. Knows no pixels and no samples.

Three kinds of files. Most give every packet the time it is shown at. AVI gives an order only, that of decoding, and
FFmpeg's guesses at times from it are wrong where frames are reordered: there the i-th frame shown has the i-th of these
times. Raw streams give nothing: there frames are counted. In broadcasts (MPEG-TS, MPEG-PS) times may jump where one
recording was put behind another: the streams go on as if they had not.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import heapq
import math
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livemove.media.opening import MediaError

DISCONTINUOUS = 0x0200
"""AVFMT_TS_DISCONT: formats whose times may jump."""

LONGEST_GAP_S = 10.0
"""A step of more is no pause but a jump (the bound that FFmpeg's own program has)."""
BACK_S = 0.5
"""A step back by less is times rounded, or frames that share one."""
SAME_S = 1.0
"""Streams whose jumps differ by less have jumped together."""

DEFAULT_FPS = 25.0
SLOWEST_FPS, FASTEST_FPS = 0.1, 1000.0

LEAD_FRAMES = 3
"""AVI: so many empty frames behind the first ones stand for the encoder's delay, not for frames that were shown longer;
counted as such, all that follows would come late against the sound."""

MOST_REORDERED = 64
"""Frames a decoder may hold back, with its threads: what was lost on the way must not shift the rest for ever."""


def fps_of(stream: VideoStream) -> float:
    """Frames per second as the stream says, DEFAULT_FPS where it says nothing that can be."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and SLOWEST_FPS <= rate <= FASTEST_FPS:
            return float(rate)
    return DEFAULT_FPS


class PacketClock:
    """Takes jumps out of packets' times, in place, if the format is one that has them."""

    def __init__(self, container: InputContainer) -> None:
        self.active = bool(container.format.flags & DISCONTINUOUS)
        self._due: dict[int, Fraction] = {}  # stream -> when its next packet is expected, in seconds
        self._offsets: list[Fraction] = [Fraction(0)]  # newest last
        self._offset: dict[int, Fraction] = {}

    def straighten(self, packet: Packet[Any]) -> None:
        """To be called with every packet of every stream that counts, in the order of the file."""
        moment = packet.dts if packet.dts is not None else packet.pts
        if not self.active or moment is None:
            return
        base, stream = packet.time_base, packet.stream.index
        offset = self._offset.get(stream, self._offsets[-1])
        time_s = moment * base + offset
        due = self._due.get(stream)
        if due is not None and not -BACK_S <= time_s - due <= LONGEST_GAP_S:
            known = [o for o in reversed(self._offsets) if abs(moment * base + o - due) < SAME_S]
            if not known:
                self._offsets = [*self._offsets[-7:], due - moment * base]
            offset = known[0] if known else self._offsets[-1]
            time_s = moment * base + offset
        self._offset[stream] = offset
        self._due[stream] = time_s + (packet.duration or 0) * base
        ticks = round(offset / base)
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks


class FrameClock:
    """Times of the frames of one stream, from the first one on: it is at 0. origin_s: what the file calls that."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.origin_s: float | None = None
        self.last_s = -1.0
        self.period_s = 1.0 / fps_of(stream)
        self._base = stream.time_base or Fraction(1)
        self._in_order_only = True if container.format.name == "avi" else None  # None: the first packet tells
        self._ticks_are_frames = container.format.name == "avi"
        self._sent = self._lead = 0
        self._offset_s = 0.0
        self._waiting: list[Fraction] = []

    def sent(self, packet: Packet[VideoStream]) -> None:
        """The packet goes to the decoder next."""
        if self._in_order_only is None:
            self._in_order_only = packet.pts is None
        if self._in_order_only and packet.dts is not None:
            number, self._sent = self._sent, self._sent + 1
            left_out = packet.dts - self._lead - number
            if self._ticks_are_frames and 1 <= number <= LEAD_FRAMES and 0 < left_out <= LEAD_FRAMES:
                self._lead += left_out
            heapq.heappush(self._waiting, (packet.dts - self._lead) * packet.time_base)
            if len(self._waiting) > MOST_REORDERED:
                heapq.heappop(self._waiting)

    def shown(self, frame: VideoFrame) -> float:
        """Seconds of the next frame shown. Raises MediaError where the times jump too far to be believed."""
        if self._waiting:
            given_s = float(heapq.heappop(self._waiting))
        elif frame.pts is not None and not self._in_order_only:
            given_s = float(frame.pts * (frame.time_base or self._base))
        else:
            given_s = math.nan
        if self.origin_s is None:
            self.origin_s = 0.0 if math.isnan(given_s) else given_s
        due_s = self.last_s + self.period_s if self.last_s >= 0 else 0.0
        time_s = due_s if math.isnan(given_s) else given_s - self.origin_s + self._offset_s
        if time_s < self.last_s - BACK_S:  # times begin again: go on from here
            self._offset_s += due_s - time_s
            time_s = due_s
        if time_s - self.last_s > max(LONGEST_GAP_S, 2 * self.period_s) and self.last_s >= 0:
            raise MediaError(
                f"its times jump from {self.last_s:.1f} to {time_s:.1f} s; cut it there, or convert it to a new file"
            )
        # Two frames at one time: the landmarker wants them strictly increasing.
        self.last_s = max(time_s, self.last_s + 1e-3) if self.last_s >= 0 else 0.0
        return self.last_s
