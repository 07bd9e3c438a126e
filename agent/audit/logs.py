"""Logging to the journal or the terminal: structlog, configured once.

Three forms of the same events and fields: native journal fields where systemd connected stderr to the journal,
structlog's console form on a terminal, JSON lines otherwise; always on stderr, as stdout is for data.
`_safe` first passes every value through `audit.facts`, so that no form shows a secret or a control character. What
other libraries log with `logging` goes the same way.

All our modules import `log` from here: structlog must not be imported before the line below.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import hashlib
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from agent.audit.facts import plain
from agent.audit.system_journal import IDENTIFIER
from agent.values.events import Event
from agent.values.secret import MORE, escaped_lines
from agent.values.sentences import sentence

# structlog imports rich wherever it is installed: 4.4 MB for a traceback in colours (FACTS 33).
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]

import structlog  # noqa: E402
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger  # noqa: E402

log: Final[FilteringBoundLogger] = structlog.get_logger()

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
_EVENTS: Final = frozenset(event.value for event in Event)
_TRACEBACK_CHARACTERS: Final = 64 * 1024
_TRACEBACK_LINES: Final = 100
# By severity, where the line is an event's, else by level.
_PRIORITY: Final = {"debug": 7, "info": 6, "notice": 5, "warning": 4, "err": 3, "error": 3, "critical": 2}
_PREFIX: Final = "DPA_"


class Form(enum.Enum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"
    JOURNAL = "journal"


def form_for(stream: TextIO, environment: Mapping[str, str]) -> Form:
    """The form that suits the stream."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not a file, as in a test, or closed
        return Form.JSON
    # systemd.exec(5): device and inode of the stream that it connected to the journal.
    if environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
        return Form.JOURNAL
    return Form.CONSOLE if stream.isatty() else Form.JSON


def configure(
    level: int = logging.INFO,
    *,
    form: Form | None = None,
    stream: TextIO | None = None,
    journal: Path = JOURNAL_SOCKET,
) -> None:
    """Call once, before anything is logged."""
    stream = sys.stderr if stream is None else stream
    form = form_for(stream, os.environ) if form is None else form
    _go_through(_rendering(form, stream, journal), level, structlog.PrintLoggerFactory(stream))
    logging.basicConfig(handlers=[_FromOthers()], level=logging.WARNING, force=True)


def _go_through(rendering: list[Any], level: int, factory: Callable[..., WrappedLogger]) -> None:
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, _safe, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )


def _safe(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Make every value plain and redacted. It never raises: a log line must not end a pass."""
    return {name: _traceback(value) if name == "exception" else _shown(value) for name, value in fields.items()}


def _traceback(text: object) -> str:
    """Keep the lines; of a long traceback, the beginning and the end."""
    lines = escaped_lines(str(text), _TRACEBACK_CHARACTERS)
    if len(lines) > _TRACEBACK_LINES:
        lines = [*lines[: _TRACEBACK_LINES // 2], MORE, *lines[-_TRACEBACK_LINES // 2 :]]
    return "\n".join(lines)


def _shown(value: object) -> object:
    try:
        return plain(value)
    except TypeError:
        # A repr may contain anything; an exception is logged for its text.
        return plain(str(value)) if isinstance(value, BaseException) else f"‹{type(value).__name__}›"


_STOPPED_WHILE_READING: Final = "queue_events() called when the thread is inactive"


class _FromOthers(logging.Handler):
    """Logs what asyncio or watchdog log as our own events."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().endswith(_STOPPED_WHILE_READING):  # each watch that ends with an event under way (7.1)
            return
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


def _rendering(form: Form, stream: TextIO, journal: Path) -> list[Any]:
    match form:
        case Form.CONSOLE:
            return [
                structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
                structlog.dev.ConsoleRenderer(
                    colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
                ),
            ]
        case Form.JSON:
            return [structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"), _json]
        case Form.JOURNAL:
            return [_Journal(journal)]


def _json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    first = {name: fields[name] for name in ("ts", "level", "event") if name in fields}
    return msgspec.json.encode({**first, **fields}).decode()


class _Journal:
    """Sends the fields to journald by its native protocol: systemd.io/JOURNAL_NATIVE_PROTOCOL.

    A renderer. If journald refuses it, it is printed as JSON, which systemd reads from stderr.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, logger: WrappedLogger, method: str, fields: EventDict) -> str:
        try:
            send_to_journal(journal_fields(fields), self._path)
        except OSError:  # journald is not running, or restarts
            return _json(logger, method, fields)
        raise structlog.DropEvent


def send_to_journal(fields: Mapping[str, str], path: Path = JOURNAL_SOCKET) -> None:
    """Send one entry with exactly these fields. OSError if journald refuses it."""
    datagram = b"".join(_field(name, value) for name, value in fields.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(1)
        sender.connect(str(path))
        try:
            sender.send(datagram)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            _send_by_descriptor(sender, datagram)


_TOO_LARGE: Final = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_NO_FIELD = re.compile(r"[^A-Z0-9_]")
_LONGEST_FIELD: Final = 64  # journald drops a field whose name is longer


def journal_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """The journal fields of a log line: a sentence as MESSAGE, and each fact as DPA_ with its name in capitals."""
    facts = {name: value for name, value in fields.items() if name not in {"event", "level", "exception"}}
    name = str(fields["event"])
    event = Event(name) if name in _EVENTS else None
    message = name if event is None else sentence(event, facts)
    if "exception" in fields:
        message = f"{message}\n{fields['exception']}"
    own = {
        "MESSAGE": message,
        "PRIORITY": str(_PRIORITY.get(str(fields.get("severity", fields.get("level"))), 6)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        **({} if event is None else {"MESSAGE_ID": message_id(event), f"{_PREFIX}EVENT": name}),
    }
    named = {_field_name(key): _field_text(value) for key, value in facts.items() if value is not None}
    return {**named, **own}


def _field_name(name: str) -> str:
    return f"{_PREFIX}{_NO_FIELD.sub('_', name.upper())}"[:_LONGEST_FIELD]


def message_id(event: Event) -> str:
    """By which `journalctl MESSAGE_ID=…` finds an event (sd_journal_print(3)): 128 bits, for ever the same."""
    return hashlib.sha256(f"{IDENTIFIER} {event.value}".encode()).hexdigest()[:32]


def _field_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _field(name: str, text: str) -> bytes:
    data = text.encode()
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def _send_by_descriptor(sender: socket.socket, datagram: bytes) -> None:
    """For an entry that is too large for a datagram: journald reads it from a sealed memory file."""
    descriptor = os.memfd_create(IDENTIFIER, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "r+b", buffering=0) as memory:
        memory.write(datagram)
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL,
        )
        socket.send_fds(sender, [b""], [descriptor])


# Until `configure` is called: structlog's default would print everything, to stdout.
_go_through([_json], logging.INFO, lambda *_: structlog.PrintLogger(sys.stderr))
