"""Which engine follows one that fails while it plays: the next one stands by, checked and warm, and none comes back.

In: a model, and the names of engines that were given up in this session. Out: engines. Knows no shared memory: who is
told of a failure is given.
"""

from __future__ import annotations

from collections.abc import Callable

from livemove.bundle import Bundle
from livemove.contracts import EngineError
from livemove.synthesis.engines import EngineChoice, choose_engine, next_engine
from livemove.synthesis.synthesis_config import ENGINES

QUICK = frozenset({"native", "native-int8"})
"""Engines that are made in milliseconds: one of them is made ready before it plays, whatever plays. The others load a
runtime, which may hold the interpreter up for longer than the ring lasts; a spare has them ready."""


class Standby:
    """The engines of one model, in the order in which they play: chosen, then as measured (`next_engine`).

    failed: names of those given up so far, whoever did; tell(engine, why, next): an engine is given up.
    """

    def __init__(
        self,
        bundle: Bundle,
        provider: str,
        failed: Callable[[], tuple[str, ...]],
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._bundle = bundle
        self._provider = provider
        self._failed = failed
        self._tell = tell
        self._ready: EngineChoice | None = None

    def first(self, name: str) -> EngineChoice:
        """The engine of that name, or "auto"; another one if that was given up already. Raises EngineError."""
        failed = self._failed()
        if name in failed or (name == "auto" and failed):
            return next_engine(self._bundle, self._provider, failed)
        return choose_engine(name, self._bundle, self._provider)

    def prepare(self, playing: str, at_leisure: bool) -> None:
        """Make ready who follows `playing`; unless at_leisure, only if that is quickly done."""
        gone = {playing, *self._failed()}
        for without in (gone | (set(ENGINES) - QUICK), gone)[: 1 + at_leisure]:
            try:
                self._ready = next_engine(self._bundle, self._provider, without)
                return
            except EngineError:
                self._ready = None  # it is looked for when it is needed

    def follower(self, engine: str, trouble: str) -> EngineChoice:
        """Who plays on, now that this engine failed; trouble "": that was told. Raises EngineError: nobody is left."""
        ready, self._ready = self._ready, None
        if ready is None or ready.engine.name in (engine, *self._failed()):
            try:
                ready = next_engine(self._bundle, self._provider, {engine, *self._failed()})
            except EngineError as error:
                raise EngineError(f"engine {engine} failed ({trouble}), and {error}") from error
        if trouble:
            self._tell(engine, trouble, ready.engine.name)
        return ready
