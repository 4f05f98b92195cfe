"""Everything the pages show at one redraw, collected by the window. Plain values: no Qt, no shared memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from livemove.contracts import Controls, PoseFrame, SupervisorStatus
from livemove.ipc.loop_status import LoopStatus
from livemove.monitor.telemetry import AudioColumns, Figures, Verdict


@dataclass(frozen=True)
class ViewState:
    """Everything known at one redraw. values float64 [n, C + F]: see `telemetry.TraceReader`; styles: weights of the
    model's styles as they sound, none of a model that has nothing to blend; loop: what the looper does."""

    now: float
    dt_s: float
    figures: Figures
    verdict: Verdict
    controls: Controls
    image: npt.NDArray[np.uint8] | None
    pose: PoseFrame | None
    new_pose: bool
    sound: AudioColumns
    values: npt.NDArray[np.float64]
    supervisor_status: SupervisorStatus
    styles: tuple[float, ...] = ()
    loop: LoopStatus = field(default_factory=LoopStatus)

    @property
    def recording_s(self) -> float | None:
        """How long the take is that is recorded."""
        since_s = self.supervisor_status.recording_since_s
        return max(self.now - since_s, 0.0) if since_s else None
