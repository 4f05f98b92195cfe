"""One vocabulary: what users read (help, errors, notices, the window) holds none of the words that were replaced.

The glossary is in .github/CONTRIBUTING.md. Names that users have written (flags, report fields, file names) may stay.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from livemove.cli import main
from training import kinetics, prepare
from training.corpora import dance
from training.loop import recipe
from training.loop.flags import make_parser

ROOT = next(each for each in Path(__file__).resolve().parents if (each / "pyproject.toml").is_file())

REPLACED = re.compile(
    r"""\b(?: pictures? | film(?:s|ed|ing)? | sound\ ?cards? | starv(?:e|ed|es|ing|ations?) | bulletins? | silhouettes?
    | sight | steady | steadiness | felt | asker | life
    | dancer\ (?:made\ of|we\ made) | guess\ where | network\ hears | (?:stage|classic)\ setting )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Words and phrases with a term of the field in their place: frame or image, video, audio device, underrun ..."""

COMPATIBLE = re.compile(
    r"--film\b|--steady\b|\bring_starvations(?:_settled)?\b|\bstarved_samples\b"  # flags; fields of reports and takes
    r"|^(?:film|silhouette|starved|starving)$|(?:^|/)pictures?$|\bfilm\.(?:h264|npy)$"
)
"""Names that stay for what users wrote or read by program: reports, takes, benchmark JSON, corpora, training logs."""


def offences(text: str) -> list[str]:
    return [found.group() for found in REPLACED.finditer(COMPATIBLE.sub("", text))]


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, f"{path} {name}")


HELP = {
    **dict(commands(main, "livemove")),
    **dict(commands(prepare.main, "training/prepare.py")),
    **dict(commands(kinetics.main, "training/kinetics.py")),
    **dict(commands(dance.main, "training/corpora/dance.py")),
}


@pytest.mark.parametrize("name", HELP)
def test_the_help_of_every_command_uses_the_glossarys_words(name: str) -> None:
    with click.Context(HELP[name], info_name=name, terminal_width=200) as context:
        assert offences(HELP[name].get_help(context)) == []


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string that may be shown: all but docstrings and other strings that stand by themselves."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def test_the_help_of_training_uses_the_glossarys_words() -> None:
    assert offences(make_parser("").format_help()) == []


@pytest.mark.parametrize(
    "package",
    [
        *sorted(f"livemove/{p.name}" for p in (ROOT / "livemove").glob("[a-z]*") if p.is_dir() or p.suffix == ".py"),
        "training",
    ],
)
def test_errors_notices_and_the_window_use_the_glossarys_words(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py")) if (ROOT / package).is_dir() else [ROOT / package]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in files
        for line, text in strings(path)
        for word in offences(text)
    ]
    assert found == []


def test_the_words_are_found_where_they_stand() -> None:
    """The test above would see them: a word in an error, and none where a name must stay."""
    assert offences("camera 0: gave no picture; film a video file") == ["picture", "film"]
    assert offences("STARVED 3, no sound card, guess where the body will be") == [
        "STARVED",
        "sound card",
        "guess where",
    ]
    assert offences("--film and ring_starvations stay; the filmography and a pictured face are no such words") == []
    assert offences("film.npy") == offences("film") == []


def test_old_flags_and_report_fields_still_work() -> None:
    """`--film`, `--steady` and `--setting` are aliases, and the JSON of benchmarks has the fields it always had."""
    from livemove.diagnostics.pose_bench import PoseTime, Variant, as_json
    from livemove.diagnostics.soak import Report, SoakResult

    parser = make_parser("")
    assert recipe.as_flags({"setting": "classic"}, parser) == ["--setting", "classic"]  # a line of an experiment
    assert recipe.flag_of("setting", parser) is recipe.flag_of("architecture", parser)
    options = {flag: each for command in HELP.values() for each in command.params for flag in each.opts}
    assert "--video" in options["--film"].opts
    assert "--soak" in options["--steady"].opts
    pose_time = PoseTime(Variant("mediapipe", 1), 1, 1, 1.0, 1.0, (1.0, 1.0, 1.0), 0.0, 0.0)
    assert {"silhouette", "pictures", "poses", "p50_ms", "p95_ms"} <= set(as_json(pose_time))
    result = SoakResult("native", 10, 1, 2, *(0.0,) * 7)
    (row,) = Report(1.0, "theremin", 512, "nothing", [result], []).as_json()["results"]
    assert row["starved"] == 2
    assert "underruns" not in row
