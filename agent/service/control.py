"""The control socket: one line of JSON asks, lines of JSON come back until the pass has ended.

Mode 0600; by SO_PEERCRED it serves only root and the user the agent runs as. Not known here: what is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.service.requests import Answer, Request, Wish
from agent.system.lock import where_it_opens
from agent.system.process_start import login_uid
from agent.values.asker import Asker, Via
from agent.values.errors import AgentError
from agent.values.secret import escaped
from agent.values.shown import plain

_LONGEST: Final = 32768  # of a wish: it may hold a path, each character escaped as six
_SEE: Final = "See: docker-proxy-agent status"
_ASKS_WITHIN_S: Final = 5.0  # a client that connects and sends nothing is dropped

Ask = Callable[[Request], Awaitable[Answer]]


@contextlib.asynccontextmanager
async def listening(path: Path, ask: Ask) -> AsyncIterator[None]:
    """Serve while the context lasts. The caller holds the lock: a socket that an earlier agent left is replaced."""
    try:
        bound = _bind(path)
    except OSError as error:
        raise AgentError(str(path), f"cannot listen here: {error.strerror}") from error
    server = await asyncio.start_unix_server(
        lambda reader, writer: _serve(reader, writer, ask), sock=bound, limit=_LONGEST
    )
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - at once, and in memory


def _bind(path: Path) -> socket.socket:
    """Bind with mode 0600, so that no other user can connect even for a moment.

    The umask belongs to the whole process: files that other threads create meanwhile would get that mode, too.
    On Linux a socket's file takes the mode of its descriptor.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - at once, and in memory
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(bound.fileno(), 0o600)
        bound.bind(str(path))
    except BaseException:
        bound.close()
        raise
    return bound


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask) -> None:
    def say(line: str) -> None:
        _send(writer, {"say": line})

    try:
        # Before anything is awaited: while it waits for an answer, its number is not given to another process.
        pid, user = _peer(writer)
        asker = Asker(Via.CONTROL, uid=user, login_uid=login_uid(pid))
        if user not in {0, os.geteuid()}:
            _send(writer, msgspec.to_builtins(Answer(1, ("only root may use this socket",))))
            return
        async with asyncio.timeout(_ASKS_WITHIN_S):
            line = await reader.readline()
        wish = msgspec.json.decode(line, type=Wish)
        asker = msgspec.structs.replace(asker, claimed=wish.claimed)
        _send(writer, msgspec.to_builtins(await ask(Request(wish, say, asker))))
        await writer.drain()
    except msgspec.DecodeError as error:
        _send(writer, msgspec.to_builtins(Answer(1, (f"not understood: {escaped(str(error))}",))))
    except (OSError, ValueError, TimeoutError):  # the client is gone, sent nothing, or too much
        return
    finally:
        writer.close()


def _send(writer: asyncio.StreamWriter, message: object) -> None:
    if not writer.is_closing():
        writer.write(msgspec.json.encode(plain(message)) + b"\n")


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """Its pid and its uid."""
    connected: socket.socket = writer.get_extra_info("socket")
    pid, user, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid), int(user)


class NobodyListens(Exception):
    """No agent is running."""


def ask(path: Path, wish: Wish) -> Iterator[str | Answer]:
    """What the running agent reports meanwhile, then its answer. NobodyListens if none is running."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NobodyListens from error
        except OSError as error:
            why = f"cannot connect to the agent: {error.strerror}"
            raise AgentError(str(path), why, where_it_opens(path, os.geteuid())) from error
        try:
            # An argument may hold bytes that are not UTF-8.
            client.sendall(msgspec.json.encode(plain(msgspec.to_builtins(wish))) + b"\n")
            for line in client.makefile("rb"):
                message = msgspec.json.decode(line)
                if "say" in message:
                    yield str(message["say"])
                else:
                    yield msgspec.convert(message, Answer)
                    return
        except OSError as error:
            raise AgentError(str(path), f"the agent does not answer: {error.strerror}", _SEE) from error
    raise AgentError(str(path), "the agent stopped before it answered", _SEE)
