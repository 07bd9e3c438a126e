"""The house as a picture, drawn from the imports: which folder uses which.

`make docs` writes it into docs/architecture.md. tests/pure/test_house.py keeps the order, and the picture up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.sources import AGENT, ROOT, SOURCES, imported

# Top down: a folder imports only what stands below it, and nothing beside it.
ORDER: Final = (
    ("cli",),
    ("service",),
    ("one_pass",),
    ("docker", "clients", "relay", "pac"),
    ("decide", "audit"),
    ("targets",),
    ("system", "see", "probe"),
    ("values",),
)
PURE: Final = ("decide", "targets", "values")
FOLDERS: Final = tuple(folder for floor in ORDER for folder in floor)
DOCUMENT: Final = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- picture: make docs -->\n", "<!-- end of the picture -->\n"


def folder_of(file: Path) -> str:
    return file.relative_to(AGENT).parts[0]


def uses() -> dict[str, set[str]]:
    """By folder: the folders that it imports from."""
    found: dict[str, set[str]] = {folder: set() for folder in FOLDERS}
    for file in SOURCES:
        if file.parent != AGENT:
            names = (name.split(".") for name in imported(file))
            found[folder_of(file)] |= {name[1] for name in names if name[0] == "agent"} & {*FOLDERS} - {folder_of(file)}
    return found


def picture() -> str:
    """A row for each folder, a mark under each one that it uses, and a blank line between two floors."""
    return "".join(f"{line.rstrip()}\n" for line in ("```", *_rows(), "```"))


def _rows() -> Iterator[str]:
    below = FOLDERS[1:]
    used = uses()
    yield f"{'':10}" + "".join(f"{folder:^{len(folder) + 2}}" for folder in below) + "  pure"
    for floor in ORDER:
        yield ""
        for folder in floor:
            marks = "".join(f"{'●' if one in used[folder] else '':^{len(one) + 2}}" for one in below)
            yield f"{folder:10}{marks}" + ("  yes" if folder in PURE else "")


def with_picture(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{picture()}{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_picture(DOCUMENT.read_text()))
