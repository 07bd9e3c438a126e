"""Whatever a test waits for has a limit: one that hangs fails, says what for, and does not stop the whole run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.sources import parsed

TESTS: Final = Path(__file__).parents[1]
RUNS: Final = {"run", "call", "check_call", "check_output"}
WAITS: Final = {"wait", "communicate"}
LIMITS: Final = {"wait_for", "timeout", "timeout_at"}  # of asyncio


def without_a_limit(tree: ast.AST, *, is_limited: bool = False) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and not is_limited and waits_for_ever(node):
            yield f"{node.lineno}: {ast.unparse(node.func)}"
        yield from without_a_limit(node, is_limited=(is_limited or limits(node)) and not is_a_function(node))


def waits_for_ever(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or any(keyword.arg in {"timeout", None} for keyword in call.keywords):
        return False
    of, name = call.func.value, call.func.attr
    if name in RUNS:
        return isinstance(of, ast.Name) and of.id == "subprocess"
    if ast.unparse(of) == "asyncio.Event()":
        return False  # of whom nobody else knows: it stands in for what never answers
    # With an argument, `join` is one of texts, and any of them has its limit there.
    return name in {*WAITS, "join"} and not call.args


def limits(node: ast.AST) -> bool:
    """What stands in it is given up in time."""
    if isinstance(node, ast.AsyncWith):
        return any(limits(item.context_expr) for item in node.items)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LIMITS


def is_a_function(node: ast.AST) -> bool:
    """It may be called where there is no limit."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def test_every_wait_of_a_test_has_a_limit() -> None:
    found = {
        f"{file.relative_to(TESTS)}:{line}"
        for file in sorted(TESTS.rglob("*.py"))
        for line in without_a_limit(parsed(file))
    }

    assert found == set()


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ("subprocess.run(['true'])", True),
        ("subprocess.run(['true'], timeout=60)", False),
        ("subprocess.run(['true'], **limited)", False),
        ("service.run()", False),
        ("process.communicate()", True),
        ("process.communicate(timeout=60)", False),
        ("process.wait()", True),
        ("process.wait(60)", False),
        ("thread.join()", True),
        ("thread.join(60)", False),
        ("','.join(texts)", False),
        ("async def f():\n    await asyncio.Event().wait()", False),
        ("async def f():\n    await is_over.wait()", True),
        ("async def f():\n    await process.wait()", True),
        ("async def f():\n    await asyncio.wait_for(process.wait(), 60)", False),
        ("async def f():\n    async with asyncio.timeout(60):\n        await process.wait()", False),
        ("async def f():\n    async with asyncio.timeout(60):\n        def g():\n            process.wait()", True),
    ],
)
def test_a_wait_without_a_limit_is_found(code: str, is_found: bool) -> None:
    assert bool([*without_a_limit(ast.parse(code))]) is is_found
