"""The agent's own files, for tests that read them: what no module may import, call or say."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
AGENT: Final = ROOT / "agent"
SOURCES: Final = tuple(sorted(AGENT.rglob("*.py")))


def named(file: Path) -> str:
    return file.relative_to(AGENT).as_posix()


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(file.read_text())))


def methods_called(file: Path) -> list[ast.Call]:
    """Of anything: `what.is_called()`."""
    return [node for node in nodes(file) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
