"""A line of what is shown to a person: a label, and what there is to say."""

from __future__ import annotations

from typing import Final

_LABEL: Final = 13


def line(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}".rstrip()
