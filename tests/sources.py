"""The agent's own files, for tests that read them: what no module may import, call or say."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
AGENT: Final = ROOT / "agent"
SOURCES: Final = tuple(sorted(AGENT.rglob("*.py")))


def named(file: Path) -> str:
    return file.relative_to(AGENT).as_posix()


def parsed(file: Path) -> ast.Module:
    """Most of the time of it is the looking for garbage, again and again, among nodes that are all needed."""
    gc.disable()
    try:
        return ast.parse(file.read_text())
    finally:
        gc.enable()


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(parsed(file)))


def methods_called(file: Path) -> list[ast.Call]:
    """Of anything: `what.is_called()`."""
    return [node for node in nodes(file) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


@cache
def imported(file: Path) -> frozenset[str]:
    """Dotted, each with the name that is taken from it; also what is imported only within a function."""
    found: set[str] = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)
