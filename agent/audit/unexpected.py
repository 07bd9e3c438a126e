"""An unexpected exception, where it ends: at a target, or at a pass.

    except Exception as error:  # the boundary of a target
        failure = unexpected(path, error)

Its traceback goes to the journal, once for each place that it comes from. The exception's own text is left out, except
for the system's: it may quote another program's file, and a password in it.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

from agent.audit.logs import log
from agent.values.errors import Unexpected

_OURS: Final = Path(__file__).parents[1]
_DEEPEST: Final = 40  # frames of a traceback that are shown: an endless recursion has a thousand
_told: set[tuple[str, str]] = set()


def unexpected(where: str, error: Exception) -> Unexpected:
    """The error that ends the work on `where`."""
    if isinstance(error, Unexpected):  # from a smaller boundary
        return error
    kind, place = _kind(error), _place(error)
    if (kind, place) not in _told:
        _told.add((kind, place))
        log.error("internal-error", where=where, error=kind, exception=_traceback(error))
    return Unexpected(where, f"{kind} at {place}")


def _kind(error: BaseException) -> str:
    """The type; for the system's errors, also the system's text."""
    said = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}{said}"


def _place(error: Exception) -> str:
    """The innermost line of our code, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_OURS)]
    if not frames:
        return "an unknown place"
    last = (ours or frames)[-1]
    name = Path(last.filename)
    return f"{name.relative_to(_OURS) if ours else name.name}:{last.lineno}"


def _traceback(error: BaseException) -> str:
    """As Python prints it, without the exceptions' own texts."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        frames = traceback.extract_tb(seen.__traceback__)[-_DEEPEST:]
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames), f"{_kind(seen)}\n", *lines]
        seen = seen.__cause__ or seen.__context__
        if len(lines) > _DEEPEST * 4:
            break
    return "".join(lines).rstrip()
