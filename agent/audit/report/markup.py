"""HTML and SVG: every text is escaped, because only `tag` makes Markup.

Pure. What others wrote is in the records, so on the page it is text and nothing else: cut, redacted and on one line by
`secret.escaped`, then escaped for HTML.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable
from typing import Final

from agent.values.secret import escaped

LONGEST: Final = 2000  # characters of one text: as much as a record has
_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|s|min|h|d)(?!\w))")


class Markup(str):
    """Well-formed, and safe to be put on the page."""

    __slots__ = ()


NOTHING: Final = Markup()
_EMPTY: Final = frozenset({"meta", "rect", "line", "path", "circle", "use", "col"})  # no end tag, or closed at once
_SVG_EMPTY: Final = frozenset({"rect", "line", "path", "circle", "use"})


def tag(name: str, /, *inside: str, **attributes: str | float) -> Markup:
    """An element. A text inside is escaped, Markup is taken as it is; an attribute `stroke_width` is `stroke-width`."""
    own = "".join(f' {_attribute(key)}="{_quoted(value)}"' for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{own}/>" if name in _SVG_EMPTY else f"<{name}{own}>")
    return Markup(f"<{name}{own}>{joined(inside)}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    return Markup(between.join(part if isinstance(part, Markup) else _text(part) for part in parts))


def unbroken(text: str) -> Markup:
    """A number and its unit stay on one line."""
    return Markup(_UNIT.sub("\u00a0", _text(text)))


def percent(share: float) -> str:
    """A place in the picture, 0 to 1: it has no width in pixels."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


@functools.lru_cache(maxsize=4096)  # most words of a page stand on it many times
def _text(text: str) -> str:
    return html.escape(escaped(text, LONGEST), quote=False)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _quoted(value: str | float) -> str:
    """Of an attribute: they are all ours."""
    return html.escape(value) if isinstance(value, str) else f"{value:g}"
