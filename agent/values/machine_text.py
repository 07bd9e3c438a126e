"""Text that the system's programs and files give: one line a fact, words apart by blanks.

Names in it may be anybody's, and hold what Python takes for a line break or a blank as well: a form feed, U+2028, a
no-break space (FACTS 67). So nothing else of the agent splits such text.
"""

from __future__ import annotations


def lines(text: str) -> list[str]:
    """Its lines: they end at line feeds and nowhere else, and none comes after the last of these."""
    return text.removesuffix("\n").split("\n") if text else []


def words(line: str) -> list[str]:
    """Its words: apart by spaces and tabs and by nothing else."""
    return [word for word in line.replace("\t", " ").split(" ") if word]
