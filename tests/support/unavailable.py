"""What happens to a test whose real material cannot be had: it is skipped, and fails where CI=true."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Real material is missing: fail in CI, where it must be there, and skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
