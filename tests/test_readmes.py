"""The READMEs against the tree: short enough, every link leads somewhere, every command names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

READMES = sorted(path for top in ("", "livemove", "training", "models", "tests") for path in (
    (ROOT / top).rglob("README.md") if top else ROOT.glob("README.md")))  # fmt: skip
FILE = re.compile(r"(?:python|pytest) ((?:tests|training)[\w/.]*)")
MODULE = re.compile(r"python -m (tests\.[\w.]+)")


def test_the_first_one_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= 7 * 1024


def test_they_are_where_they_are_looked_for() -> None:
    places = {str(path.parent.relative_to(ROOT)) for path in READMES}
    rooms = {"livemove", "livemove/monitor", "livemove/control", "livemove/takes"}
    assert places == {".", "training", "models", "tests", *rooms}


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_links_and_commands_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [link for link in links if not (path.parent / link).exists()]
    missing += [file for file in FILE.findall(text) if not (ROOT / file).exists()]
    missing += [module for module in MODULE.findall(text) if not (ROOT / (module.replace(".", "/") + ".py")).exists()]
    assert missing == []
