"""Text of system programs and files: a fact per line, words separated by blanks.

Names in it may be anybody's, and hold what Python takes for a line break or a blank as well: a form feed, U+2028, a
no-break space (FACTS 67). So nothing else of the agent splits such text.
"""

from __future__ import annotations


def lines(text: str) -> list[str]:
    """Its lines. They end at line feeds only; nothing comes after the last one."""
    return text.removesuffix("\n").split("\n") if text else []


def words(line: str) -> list[str]:
    """Its words. Only spaces and tabs separate them."""
    return [word for word in line.replace("\t", " ").split(" ") if word]
