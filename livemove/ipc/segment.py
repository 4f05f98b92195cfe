"""What the processes share: one segment of shared memory, seen through typed views.

In and out: the views of the other files here, which say which process may call what; what a caller needs of them is
named here, too. Knows nothing of cameras, models, devices or windows; numpy and the native extension only.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker, shared_memory
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove.ipc.audio_ring import AudioRing, Tap
from livemove.ipc.external_inputs import ExternalInputs
from livemove.ipc.leftovers import SHARED_MEMORY, held, sweep
from livemove.ipc.logs import BLOCK_ROW, HOP_ROW, POSE_ROW, HopLog, Log, SnapshotBox
from livemove.ipc.mailboxes import IMAGE_EDGE, ControlsMailbox, ImageMailbox, PoseMailbox, SupervisorStatusMailbox
from livemove.ipc.process_state import ROLES, ProcessState, State
from livemove.ipc.queues import Outbox, RequestQueue
from livemove.ipc.records import lines, names, observe, publish, record
from livemove.ipc.signals import start_tracker
from livemove.ipc.telemetry import CaptureTelemetry, PlaybackTelemetry, SynthesisTelemetry, percentile_ms
from livemove.native import _realtime
from livemove.native._realtime import BIN_MS, RING_CAPACITY, SNAPSHOT_BYTES, TEXT_BYTES, now_s

__all__ = [
    "BIN_MS",
    "BLOCK_ROW",
    "HOP_ROW",
    "IMAGE_EDGE",
    "POSE_ROW",
    "RING_CAPACITY",
    "ROLES",
    "SNAPSHOT_BYTES",
    "TEXT_BYTES",
    "AudioRing",
    "ProcessState",
    "RequestQueue",
    "Segment",
    "State",
    "Tap",
    "now_s",
    "percentile_ms",
]


class _Mapping(shared_memory.SharedMemory):
    """Memory that views may outlive, in a traceback for instance: then the mapping goes with the process."""

    def view(self, dtype: npt.DTypeLike = np.uint8, count: int = -1, offset: int = 0) -> npt.NDArray[Any]:
        assert self.buf is not None
        return np.frombuffer(self.buf, dtype, count, offset)

    def close(self) -> None:
        with contextlib.suppress(BufferError):
            super().close()


def _do_not_register(name: str, rtype: str) -> None:
    """In place of resource_tracker.register while a child attaches."""


class Segment:
    """The shared memory of one session and its views. Made by the supervisor, attached by every child."""

    def __init__(self, memory: _Mapping) -> None:
        self._shared = memory
        self._held: int | None = None  # the supervisor's lock, while it lives
        self.name = memory.name
        self.bytes = memory.view()
        """uint8 [SIZE]: for the native extension only."""
        layout = _realtime.layout()
        states = [ProcessState(record(fields, memory.view)) for fields in layout["lives"]]
        self.processes: dict[str, ProcessState] = dict(zip(ROLES, states, strict=True))
        self._supervisor = record(layout["supervisor"], memory.view)
        self._rate_bits = self._supervisor["device_rate"].view(np.uint64)
        self._devices = record(layout["devices"], memory.view)["names"]
        self.pose = PoseMailbox(self.bytes)
        self.controls = ControlsMailbox(self.bytes)
        self.requests = RequestQueue(_realtime.Requests(self.bytes))
        """The monitor's."""
        self.commands = RequestQueue(_realtime.Commands(self.bytes))
        """Control's."""
        self.triggered = RequestQueue(_realtime.Triggered(self.bytes))
        """Synthesis': what triggers of the mapping ask for."""
        self.outbox = Outbox(_realtime.Outbox(self.bytes))
        self.external_inputs = ExternalInputs(record(layout["sources"], memory.view))
        self.supervisor_status = SupervisorStatusMailbox(self.bytes)
        self.image = ImageMailbox(self.bytes)
        self.poses = Log(_realtime.PoseLog(self.bytes), POSE_ROW)
        self.made = HopLog(self.bytes)
        self.hops = Log(_realtime.HopLog(self.bytes), HOP_ROW)
        self.blocks = Log(_realtime.BlockLog(self.bytes), BLOCK_ROW)
        self.snapshot = SnapshotBox(self.bytes)
        self.ring = AudioRing(self.bytes)
        self.tap = Tap(self.bytes)
        self.capture = CaptureTelemetry(record(layout["capture"], memory.view))
        self.synthesis = SynthesisTelemetry(record(layout["synthesis"], memory.view))
        self.playback = PlaybackTelemetry(record(layout["playback"], memory.view))

    @staticmethod
    def create() -> Segment:
        """Supervisor only. What killed sessions left goes."""
        sweep(SHARED_MEMORY, "livemove-*")
        start_tracker()
        memory = _Mapping(f"livemove-{os.urandom(4).hex()}", create=True, size=_realtime.SIZE)
        _realtime.initialise(memory.view())
        segment = Segment(memory)
        segment._held = held(SHARED_MEMORY / memory.name)
        return segment

    @staticmethod
    def attach(name: str) -> Segment:
        """Children. The segment stays the supervisor's: a child that ends must not unlink it."""
        if sys.version_info >= (3, 13):
            return Segment(_Mapping(name, track=False))
        # Before 3.13 attaching registers the segment with the resource tracker, as if we had made it.
        register: Callable[[str, str], None] = resource_tracker.register
        resource_tracker.register = _do_not_register
        try:
            return Segment(_Mapping(name))
        finally:
            resource_tracker.register = register

    def close(self) -> None:
        """Drop every view and the mapping; nothing of this segment may be used afterwards. Any process."""
        for name in tuple(vars(self)):
            if name not in ("_shared", "_held", "name"):
                delattr(self, name)
        self._shared.close()

    def unlink(self) -> None:
        """Supervisor only, at the very end."""
        self._shared.unlink()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def unlink_for_parent(self) -> None:
        """Children, once the supervisor is dead: what it can no longer do."""
        (SHARED_MEMORY / self.name).unlink(missing_ok=True)

    def wait_asked(self, timeout_s: float) -> bool:
        """Supervisor only: sleep, without the GIL, until somebody asked for something; False if nobody did in time."""
        return _realtime.wait_asked(self.bytes, timeout_s)

    # --- what the supervisor tells everybody

    def request_stop(self) -> None:
        """Supervisor only: everybody finishes; playback fades out first."""
        publish(self._supervisor["stop"], 1)

    def panic(self) -> None:
        """Supervisor only: somebody typed it; the callback is silent until controls answer it."""
        publish(self._supervisor["panics"], int(self._supervisor["panics"][0]) + 1)

    @property
    def stop_requested(self) -> bool:
        return bool(observe(self._supervisor["stop"]))

    def set_device_rate(self, rate: float, block: int = 512) -> None:
        """Playback only, before its first block: samples per second the ring is read at from now on, block at once."""
        publish(self._supervisor["device_block"], block)
        if rate != self.device_rate:
            self._supervisor["rate_since"][0] = self.tap.written
            publish(self._rate_bits, int(np.float64(rate).view(np.uint64)))

    @property
    def device_rate(self) -> float:
        """0 until playback has opened its device."""
        return float(np.uint64(observe(self._rate_bits)).view(np.float64))

    @property
    def device_block(self) -> int:
        """Frames that the device asks for at once; 0 until playback has opened it."""
        return int(observe(self._supervisor["device_block"]))

    @property
    def rate_since(self) -> int:
        """The first sample of the tap that has that rate, if any has yet; to be read after it.

        Whoever looks at what the tap holds and then at the rate knows the rate of all it saw: a device is opened less
        often than anybody looks.
        """
        return int(self._supervisor["rate_since"][0])

    def set_devices(self, devices: Sequence[str]) -> None:
        """Playback only, before the state becomes RUNNING: the audio devices there are."""
        self._devices[0] = lines(devices, self._devices.itemsize)

    @property
    def devices(self) -> tuple[str, ...]:
        """The audio devices there were when playback last opened one; those that can be played at, "N NAME (HOST)"."""
        return names(self._devices)
