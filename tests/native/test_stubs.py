"""The .pyi files of the extension modules against the modules as they were built: same names, arguments and types."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

stubgen = pytest.importorskip("nanobind.stubgen")

Signature = tuple[str, ...]

LOOSE = ("object", "dict", "list", "Sequence", "tuple")
"""What the built module says less exactly than its .pyi: not compared."""


def kind_of(annotation: ast.expr | None, aliases: dict[str, ast.expr]) -> str:
    """An annotation as both sides spell it: arrays by their dtype, the rest as it is; "" where nothing can be said."""
    if annotation is None:
        return ""
    if isinstance(annotation, ast.Name) and annotation.id in aliases:
        annotation = aliases[annotation.id]
    text = ast.unparse(annotation)
    if array := re.search(r"NDArray\[(?:np|numpy)\.(\w+)\]", text):
        return array[1] + (" | None" if text.endswith("| None") else "")
    return "" if text.startswith(LOOSE) or "Mapping" in text else text


def signature_of(function: ast.FunctionDef, aliases: dict[str, ast.expr]) -> Signature:
    """Arguments in order as "name: kind", with "=" where they may be left out, and what comes out."""
    positional = [("", each) for each in function.args.posonlyargs] + [(each.arg, each) for each in function.args.args]
    optional = len(positional) - len(function.args.defaults)
    arguments = [
        f"{name}: {kind_of(each.annotation, aliases)}{'=' if place >= optional else ''}"
        for place, (name, each) in enumerate(positional)
        if each.arg != "self"
    ]
    return (*arguments, "-> " + kind_of(function.returns, aliases))


def contents(text: str) -> dict[str, Signature]:
    """Every public name of a stub, members with their class: functions with their signature, all else with its type."""
    tree = ast.parse(text)
    aliases = {
        target.id: node.value for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    found: dict[str, Signature] = {}

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[prefix + node.name] = ("class",)
                look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[prefix + node.target.id] = ("value", kind_of(node.annotation, aliases), "may be set")
            elif isinstance(node, ast.FunctionDef):
                decorators = [ast.unparse(each) for each in node.decorator_list]
                name = prefix + node.name
                if "property" in decorators:
                    found[name] = ("value", kind_of(node.returns, aliases), "")
                elif decorators == [f"{node.name}.setter"]:
                    found[name] = (*found[name][:2], "may be set")
                else:
                    found[name] = signature_of(node, aliases)

    look(tree.body, "")
    return found


def stub_of(module: str) -> str:
    """What nanobind says of a built module."""
    generator = stubgen.StubGen(importlib.import_module(module))
    generator.put(generator.module)
    return generator.get()


def agree(said: Signature, built: Signature) -> bool:
    """Equal, but for types that the built module does not tell."""
    if len(said) != len(built):
        return False
    for ours, theirs in zip(said, built, strict=True):
        head, _, kind = theirs.rpartition(" ")
        if ours != theirs and not (kind in ("", "=") and ours.startswith(head)):
            return False
    return True


def differences(said: dict[str, Signature], built: dict[str, Signature]) -> list[str]:
    names = sorted(said.keys() | built.keys())
    pairs = [(name, said.get(name, ()), built.get(name, ())) for name in names]
    return [f"{name}: {ours} in the .pyi, {theirs} built" for name, ours, theirs in pairs if not agree(ours, theirs)]


@pytest.mark.parametrize("module", ["_effects", "_realtime", "_wavenet"])
def test_a_stub_says_what_was_built(module: str) -> None:
    path: Path = ROOT / "livemove" / "native" / f"{module}.pyi"
    assert differences(contents(path.read_text()), contents(stub_of(f"livemove.native.{module}"))) == []


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("def now_s() -> float", "def now_s() -> int"),
        ("timeout_s: float) -> bool: ...\n    def seek", "patience_s: float) -> bool: ...\n    def seek"),
        ("delay_s: float = 0.0", "delay_s: float"),
        ("    def catch_up(self) -> None: ...\n", ""),
        ("samples: npt.NDArray[np.float32]", "samples: npt.NDArray[np.float64]"),
        ("    latency_s: float\n", "    @property\n    def latency_s(self) -> float: ...\n"),
    ],
)
def test_a_stub_that_says_otherwise_is_found_out(there: str, instead: str) -> None:
    text = (ROOT / "livemove" / "native" / "_realtime.pyi").read_text()
    assert text.count(there) == 1
    assert differences(contents(text.replace(there, instead)), contents(stub_of("livemove.native._realtime")))
