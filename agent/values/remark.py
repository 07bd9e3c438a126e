"""A line about a policy, and the file that it is about: a policy may be written in several."""

from __future__ import annotations

import msgspec


class Remark(msgspec.Struct, frozen=True):
    """What is wrong or unwise; it names table, key and value, and what was expected."""

    text: str
    file: str = ""  # '': the policy's own

    def beside(self, path: str) -> str:
        """Said of the policy at this path: with the file, if it is about another one."""
        return self.text if self.file in ("", path) else f"{self.file}: {self.text}"

    def at(self, path: str) -> str:
        """The file that it is about. `path`: the policy's own."""
        return self.file or path
