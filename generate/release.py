"""What has to be so before a version is built to be given away: else a line for each problem, and exit status 1."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent import __version__

_ROOT: Final = Path(__file__).resolve().parent.parent
_SECTION: Final = re.compile(r"^## (.+)$", re.MULTILINE)


def problems(version: str, changelog: str, changed: str) -> Iterator[str]:
    """`changed`: what `git status --porcelain` prints."""
    section = _SECTION.search(changelog)
    newest = section[1] if section else ""
    if not re.fullmatch(re.escape(version) + r" \(\d{4}-\d\d-\d\d\)", newest):
        yield f'CHANGELOG.md: the newest section is "{newest}", and the version is {version}: write "{version} (DATE)"'
    if changed:
        yield f"{changed.rsplit(maxsplit=1)[-1]}: not committed, so nobody could build the same again: git commit"


def main() -> None:
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = [*problems(__version__, (_ROOT / "CHANGELOG.md").read_text(), changed)]
    sys.exit("\n".join(f"make release: {problem}" for problem in found) or None)


if __name__ == "__main__":
    main()
