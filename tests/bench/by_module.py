"""How many bytes each module keeps, as JSON: run by the laptop's Python, which imports the service.

Of each module what its import adds, but for what it imports itself; asyncio, ssl and json are there before.
"""

from __future__ import annotations

import asyncio  # noqa: F401
import importlib
import json
import ssl  # noqa: F401
import sys
import tracemalloc
from collections import Counter
from importlib.machinery import ExtensionFileLoader, SourceFileLoader
from types import ModuleType

kept: Counter[str] = Counter()
under_way: list[int] = []  # of each import what those inside it added


def measure(loader: type[SourceFileLoader | ExtensionFileLoader]) -> None:
    execute = loader.exec_module

    def exec_module(self: SourceFileLoader | ExtensionFileLoader, module: ModuleType) -> None:
        before = tracemalloc.get_traced_memory()[0]
        under_way.append(0)
        try:
            execute(self, module)  # type: ignore[arg-type]
        finally:
            added = tracemalloc.get_traced_memory()[0] - before
            kept[module.__name__] += added - under_way.pop()
            if under_way:
                under_way[-1] += added

    loader.exec_module = exec_module  # type: ignore[method-assign]


# Else the module that makes Python's table of names double would look a megabyte larger than it is.
names = [sys.intern(f"name_{number}") for number in range(15_000)]
for loader in (SourceFileLoader, ExtensionFileLoader):
    measure(loader)
tracemalloc.start()
importlib.import_module("agent.cli.run")
json.dump(kept, sys.stdout)
