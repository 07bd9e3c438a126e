"""Nobody prints but `cli/printing.py`, so that nothing reaches a screen unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"
# A screen, and two processes of their own that speak to who started them.
MAY_PRINT = {"cli/printing.py", "demo/engine.py", "home_helper.py"}
FILES = [file for file in sorted(AGENT.rglob("*.py")) if str(file.relative_to(AGENT)) not in MAY_PRINT]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(AGENT)))
def test_nobody_else_prints(file: Path) -> None:
    tree = ast.parse(file.read_text())

    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) in {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
    }

    assert not named & {"print", "pprint"}
    assert called <= {"isatty", "close", "flush", "fileno"}
