"""How far ahead of the callback synthesis works: the trade-off between latency and underruns, set by measurement.

In: what the callback counted. Out: seconds of lead. Knows no ring and no engine.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from livemove.ipc.cpu_affinity import go_first


class RealTime:
    """Lets the calling thread run before ordinary ones, where the system allows it, so that the lead can be short.

    Not allowed is no harm: the lead grows.

    Not for an engine that needs most of a core: Linux stops a core's real-time threads, the sound server's too, once
    they had 0.95 s of a second (measured: a late callback every second with an engine at 0.8 times real time). Who
    needed more than MOST of a WINDOW_S is an ordinary thread for the next AWAY_S.
    """

    MOST = 0.8
    WINDOW_S = 0.25
    AWAY_S = 5.0

    def __init__(self, realtime: float, now: float, cpu_s: Callable[[], float] = time.thread_time) -> None:
        """realtime: audio seconds the engine makes in a busy second, as far as known; cpu_s: of the calling thread."""
        self._cpu_s = cpu_s
        self._since_s = self._again_s = now
        self._used_s = cpu_s()
        self.on = False
        if realtime * self.MOST > 1.0:
            self._turn(True)

    def hop(self, now: float) -> None:
        """Once a hop, in the same thread."""
        if now - self._since_s < self.WINDOW_S:
            return
        used_s = self._cpu_s()
        room = used_s - self._used_s <= self.MOST * (now - self._since_s)
        self._since_s, self._used_s = now, used_s
        if not room:
            self._again_s = now + self.AWAY_S
        if room != self.on and (self.on or now >= self._again_s):
            self._turn(room)

    def _turn(self, on: bool) -> None:
        self.on = on
        go_first(on)


class Lead:
    """How long before the callback its hops are begun: as short as this machine allowed over the last half minute.

    Every block tells its margin, the time its newest sample had waited. A lead shorter by margin - MARGIN_S would just
    have done; the longest such lead of the last WINDOWS seconds is the next one's. An underrun adds as much as was
    missing, a hop at least and START_S at most: what takes longer no lead prevents. While it is young it remembers half
    of its life only: the first seconds, when the other processes load, say little.

    MARGIN_S is for stalls longer than any of the last half minute. Ten minutes of what blocks needed on a shared host,
    played again with many leads, had 2.9 underruns in 200 s with 3 ms and 0.7 times with 6, for 2.8 ms more lead; a
    memory of five minutes instead won next to nothing.

    An engine that is less than AMPLE times faster than needed makes up for lost time slowly: what it begins with is
    longer.
    """

    MARGIN_S = 0.006
    AMPLE = 4.0
    START_S = 0.025
    MOST_S = 0.15
    WINDOWS = 30

    def __init__(self, hop_s: float, realtime: float = math.inf) -> None:
        """realtime: audio seconds the engine makes in a busy second, as far as known."""
        ample = realtime >= self.AMPLE
        self.seconds = self._start_s = self.START_S if ample else min(self.START_S * self.AMPLE / realtime, self.MOST_S)
        self._hop_s = hop_s
        self._longest = deque([self._start_s], maxlen=self.WINDOWS)
        self._born_s = 0.0
        self._since_s: float | None = None
        self._callbacks = 0
        self._underruns = 0

    def adapt(self, callbacks: int, underruns: int, margin_s: float, called_s: float, now: float) -> None:
        """Once a hop; callbacks and underruns as counted so far, margin_s of the last block (0: it played none).

        called_s: when the last callback was; now: when the hop before this one was ready, which it may have missed.
        """
        underrun = underruns != self._underruns
        if callbacks == self._callbacks or (margin_s == 0.0 and not underrun):
            return
        self._callbacks = callbacks
        if self._since_s is None:  # the first block of all says nothing
            self._born_s = self._since_s = now
            self._underruns = underruns
            return
        enough_s = self.seconds - margin_s + self.MARGIN_S
        if underrun:
            self._underruns = underruns
            missing_s = now - called_s + self.MARGIN_S
            enough_s = self.seconds + min(max(missing_s, self._hop_s), self.START_S)
        # A sample that waited longer than the lead (a burst of callbacks after a stall) asks for no negative one.
        enough_s = min(max(enough_s, 0.0), self.MOST_S)
        if now - self._since_s > 1.0:
            self._since_s = now
            if len(self._longest) == 1 and self._longest[0] == self._start_s:
                self._longest.clear()  # the guess of the beginning has done its work
            self._longest.append(enough_s)
            while len(self._longest) > max((now - self._born_s) / 2.0, 2.0):
                self._longest.popleft()
        else:
            self._longest[-1] = max(self._longest[-1], enough_s)
        self.seconds = max(self._longest)
