"""MIDI on a JACK server of the tests' own."""

from __future__ import annotations

import pytest

from tests.support.servers import Jack


@pytest.fixture
def backend(jack: Jack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTMIDI_API", "UNIX_JACK")
    for name, value in jack.environment.items():
        monkeypatch.setenv(name, value)
