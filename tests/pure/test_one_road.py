"""Nobody prints but `cli/printing.py`, so that nothing reaches a screen unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"
# A screen, and two processes of their own that speak to who started them.
MAY_PRINT = {"cli/printing.py", "cli/demo/engine.py", "clients/home_helper.py"}
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


# What the C library asks the name service for, and that may be LDAP: without an end.
ASKS = {"getpwnam", "getpwuid", "getpwall", "getgrnam", "getgrgid", "getgrall", "getgrouplist", "initgroups", "getuser"}
ASKS_OF_A_PATH = {"owner", "expanduser", "home"}  # called; of a Path, `group` is one, too


@pytest.mark.parametrize("file", sorted(AGENT.rglob("*.py")), ids=lambda file: str(file.relative_to(AGENT)))
def test_nobody_waits_for_a_name_service_but_by_its_own_module(file: Path) -> None:
    """`clients/accounts.py`: by a program, with an end."""
    tree = ast.parse(file.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    arguments = (
        {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
        if "subprocess" in imported or "asyncio" in imported
        else set()
    )

    assert not imported & {"pwd", "grp", "getpass"}
    assert not named & ASKS
    assert not called & ASKS_OF_A_PATH
    assert not arguments & {"user", "group", "extra_groups"}  # of a process: by name
