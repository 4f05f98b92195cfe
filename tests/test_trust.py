"""What would run a stranger's data as code, or write it where it likes, is used nowhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CALLS = {"eval", "exec", "system", "popen", "extractall", "unpack_archive", "load_from_checkpoint"}
NEEDED = {("np", "load"): ("allow_pickle", False), ("torch", "load"): ("weights_only", True)}
"""Calls that are safe only if they say so."""


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that would."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for name in (module, *(alias.name for alias in node.names)):
                if name and name.split(".")[0] in MODULES:
                    yield node.lineno, f"import {name}"
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = getattr(getattr(node.func, "value", None), "id", "")
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            if called in CALLS and (called not in ("eval", "exec") or isinstance(node.func, ast.Name)):
                yield node.lineno, called
            if (needed := NEEDED.get((owner, called))) and keywords.get(needed[0]) is not needed[1]:
                yield node.lineno, f"{owner}.{called} without {needed[0]}={needed[1]}"
            if keywords.get("shell"):
                yield node.lineno, "a shell"


@pytest.mark.parametrize("package", ["livemove", "training"])
def test_no_data_is_run_and_none_is_unpacked_unseen(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, what in offences(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_it_would_be_found() -> None:
    code = """
import pickle
from cloudpickle import loads
np.load(path)
np.load(path, allow_pickle=True)
torch.load(path)
tar.extractall(folder)
eval(text)
subprocess.run(text, shell=True)
"""
    assert len(list(offences(ast.parse(code)))) == 8
    assert not list(
        offences(ast.parse("np.load(path, allow_pickle=False); torch.load(p, weights_only=True); m.eval()"))
    )


def test_osc_is_heard_on_this_machine_only_unless_told() -> None:
    from livemove.control.control_config import ControlConfig, address
    from livemove.control.osc import OscIn

    assert ControlConfig().osc is None  # nobody listens unless asked to
    assert address("9000") == ("127.0.0.1", 9000)
    listening = OscIn(*address("9")[:1], 0, {})
    try:
        assert listening.socket.getsockname()[0] == "127.0.0.1"
    finally:
        listening.close()
