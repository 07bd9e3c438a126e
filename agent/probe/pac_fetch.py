"""Fetches a PAC file: directly, never through a proxy, for it is what says which proxy there is.

What comes may be anybody's: it is bounded, decoded, and a page is told from a script. Not known here: when one is
fetched, what serves if it cannot be, and what the script says (`pac.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import shlex
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urljoin, urlsplit

import h11
import msgspec

from agent.probe.dial import HERE, Ground
from agent.probe.exchange import (
    HEAD_LIMIT,
    USER_AGENT,
    Dialogue,
    DialogueFailed,
    Headers,
    HttpAnswer,
    as_text,
    authority,
)
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.stream import StreamFailed, Via, failures_of, open_stream
from agent.probe.tls import Trust
from agent.values.listening import unmapped
from agent.values.pac import LARGEST_SCRIPT, PacFault, PacScript, decoded, is_html
from agent.values.secret import escaped, redacted
from agent.values.verdict import Outcome

MOST_REDIRECTS: Final = 3
LONGEST_URL: Final = 2048
_CHARSET: Final = re.compile(r';\s*charset="?([\w.:-]{1,40})', re.IGNORECASE)
_HTTP: Final = b"HTTP/"
_START: Final = 20  # bytes of what is no HTTP that are shown
_LONGEST_MARK: Final = 200  # characters of an ETag or a date that are kept, and sent back
_AS_IT_IS: Final = "/%:@!$&'()*+,;=-._~?"  # of a path and a query
_NEW: Final = 200
_UNCHANGED: Final = 304
_MOST_EVENTS: Final = 10_000  # chunks and the like: of one byte each, a file would hold the loop for seconds
_BLANKS: Final = b" " * 4096  # h11's patterns take the square of their number, where these end wrongly
_MOST_HANGING: Final = 8  # reads of files
_NEAR: Final = "leads to what only this host can reach: asked only if the policy names it"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WITH_WORDS: Final = frozenset({511})  # Network Authentication Required: only portals send it


class PacPlace(msgspec.Struct, frozen=True):
    """A URL, in its parts."""

    scheme: str
    host: str
    port: int
    target: str  # path and query, as they are asked for; of a file, its path

    @property
    def is_https(self) -> bool:
        return self.scheme == "https"


class Fetching(msgspec.Struct, frozen=True):
    """How one is fetched."""

    tls: Trust  # with the policy's ca_file
    timeout_s: float  # of all of it, redirects included
    ground: Ground = HERE
    below: Callable[[str], object] = str  # where a path of the policy lies: below another root


async def fetch(
    url: str, earlier: PacScript | None, by: Fetching, *, is_the_policys: bool = True
) -> PacScript | PacFault:
    """The script that is there now. `earlier`: the last one, which is returned with a new time if nothing changed.

    `is_the_policys`: not what DHCP, DNS or a user says. Root writes the policy, and may name what only this host
    can reach.
    """
    watch = Stopwatch()
    place = place_of(url)
    if isinstance(place, str):
        return PacFault(Outcome.ERROR, f"{shown(url)}: {place}")
    if place.scheme == "file":
        return await fetch_file(str(by.below(place.target)), by.timeout_s)
    unchanged = earlier if earlier and earlier.url == url else None
    try:
        async with asyncio.timeout(by.timeout_s):
            return await _fetch(place, url, unchanged, watch=watch, by=by, is_the_policys=is_the_policys)
    except StreamFailed as failure:
        return PacFault(failure.outcome, failure.evidence)
    except TimeoutError:
        return PacFault(Outcome.TIMEOUT, f"{watch.doing}: timed out after {by.timeout_s:g} s")


async def fetch_file(path: str, timeout_s: float, *, is_asked_for: bool = False) -> PacScript | PacFault:
    """As `read_file`, with an end."""
    return await _FILES.read(path, timeout_s, is_asked_for=is_asked_for)


def place_of(url: str) -> PacPlace | str:
    """A text: what is wrong with it."""
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return "is not a URL"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if "@" in parts.netloc:
        return "contains a user or password: a PAC file is fetched without one"
    if parts.scheme == "file":
        path = unquote(parts.path)
        is_here = parts.netloc in ("", "localhost") and path.startswith("/") and "\0" not in path
        return PacPlace("file", "", 0, path) if is_here else "is not a path on this host"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is neither http nor https, nor a file"
    query = f"?{parts.query}" if parts.query else ""
    target = quote(f"{parts.path or '/'}{query}", safe=_AS_IT_IS)
    return PacPlace(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), target)


def shown(url: str) -> str:
    """For a person: without what may be a password, in its query, too."""
    found = place_of(url)
    if isinstance(found, str):
        return escaped(redacted(url))
    if found.scheme == "file":
        return escaped(f"file://{found.target}")
    return escaped(f"{found.scheme}://{authority(found.host, found.port)}{found.target.partition('?')[0]}")


async def _fetch(  # noqa: PLR0913 - named at its one call
    place: PacPlace, url: str, earlier: PacScript | None, *, watch: Stopwatch, by: Fetching, is_the_policys: bool
) -> PacScript | PacFault:
    at, here = place, url
    far = msgspec.structs.replace(by, ground=_far(by.ground))
    for _ in range(MOST_REDIRECTS + 1):
        is_named_by_root = is_the_policys and (at.host, at.port) == (place.host, place.port)
        answer = await _asked(at, earlier, watch, by if is_named_by_root else far)
        if answer.status not in _REDIRECTS:
            return _judged(answer, at, url, earlier)
        here = _redirected(here, next(iter(answer.values(b"location")), ""))
        further = place_of(here)
        where = authority(at.host, at.port)
        if isinstance(further, str):
            return PacFault(Outcome.ERROR, f"{where} redirects to what {further}")
        if further.scheme == "file" or (at.is_https and not further.is_https):
            return PacFault(Outcome.ERROR, f"{where} redirects from {at.scheme} to {further.scheme}")
        at = further
    return PacFault(Outcome.ERROR, f"{shown(url)}: more than {MOST_REDIRECTS} redirects")


def _far(ground: Ground) -> Ground:
    """The same, but for what only this host can reach. A server, a name or a DHCP lease would else choose what root
    asks of the services on loopback, which take root's word for more than others', and of a cloud's.
    """

    async def connect(family: int, address: tuple[Any, ...]) -> socket.socket:
        if _is_near(str(address[0])):
            raise DialogueFailed(Outcome.ERROR, _NEAR)
        connection = await ground.connect(family, address)
        if connection.getsockname()[0] == address[0]:  # an address of this host; nothing is sent yet
            connection.close()
            raise DialogueFailed(Outcome.ERROR, _NEAR)
        return connection

    return msgspec.structs.replace(ground, connect=connect)


def _is_near(address: str) -> bool:
    found = unmapped(ipaddress.ip_address(address.partition("%")[0]))
    return found.is_loopback or found.is_unspecified or found.is_link_local or found.is_multicast


def _redirected(here: str, to: str) -> str:
    try:
        return urljoin(here, to) if to else ""
    except ValueError:
        return ""


async def _asked(place: PacPlace, earlier: PacScript | None, watch: Stopwatch, by: Fetching) -> HttpAnswer:
    end_tls = by.tls.context(place.host, place.port) if place.is_https else None
    stream = await open_stream(place.host, place.port, Via(ground=by.ground), end_tls=end_tls, watch=watch)
    async with stream:
        watch.enter(Step.ANSWER, f"waiting for the PAC file of {place.host}")
        with failures_of(watch):
            return await stream.converse(_get(place, _conditions(earlier)))


def _conditions(earlier: PacScript | None) -> Headers:
    if earlier is None:
        return ()
    marks = ((b"If-None-Match", earlier.etag), (b"If-Modified-Since", earlier.last_modified))
    return [(name, value.encode("ascii")) for name, value in marks if value]


def _get(place: PacPlace, conditions: Headers) -> Dialogue[HttpAnswer]:
    """The whole answer; `rest` is its body, of which no more is read than a script may have."""
    http1 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
    host = authority(place.host, place.port)
    headers = [
        (b"Host", host.removesuffix(f":{443 if place.is_https else 80}").encode("ascii")),
        (b"User-Agent", USER_AGENT),
        (b"Accept", b"application/x-ns-proxy-autoconfig, */*"),
        (b"Connection", b"close"),
        *conditions,
    ]
    request = h11.Request(method=b"GET", target=place.target.encode("ascii"), headers=headers)
    received = yield http1.send(request) + http1.send(h11.EndOfMessage())
    start, last, body, events = b"", b"", bytearray(), 0
    head: h11.Response | None = None
    while True:
        start = (start + received)[:_START]
        if head is None:
            _check_is_http(start, received)
        last = last[-len(_BLANKS) :] + received
        if _BLANKS in last.replace(b"\t", b" "):
            raise DialogueFailed(Outcome.ERROR, f"answered with {len(_BLANKS)} blanks in a row")
        found, seen = _take(http1, received, body)
        head, events = found or head, events + seen
        if events > _MOST_EVENTS:
            raise DialogueFailed(Outcome.ERROR, f"answered in more than {_MOST_EVENTS} pieces")
        if head is not None and (len(body) > LARGEST_SCRIPT or http1.their_state is not h11.SEND_BODY):
            return HttpAnswer(head.status_code, tuple(head.headers), bytes(body))
        received = yield b""


def _check_is_http(start: bytes, received: bytes) -> None:
    if not start.startswith(_HTTP[: len(start)]):  # h11 would wait for the end of a head all the same (FACTS 36)
        raise DialogueFailed(Outcome.ERROR, f"not HTTP: {as_text(start)}")
    if not received:
        raise DialogueFailed(Outcome.ERROR, "connection lost" if start else "closed without an answer")


def _take(http1: h11.Connection, received: bytes, body: bytearray) -> tuple[h11.Response | None, int]:
    """What has come, the body added to the rest of it. The head, if it is complete now, and how many pieces came."""
    head, seen = None, 0
    try:
        http1.receive_data(received)
        while seen <= _MOST_EVENTS and (event := http1.next_event()) is not h11.NEED_DATA:
            seen += 1
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif not isinstance(event, h11.InformationalResponse):
                break  # the end
    except h11.RemoteProtocolError:  # it may quote the answer
        raise DialogueFailed(Outcome.ERROR, "answered with broken HTTP, or the connection was lost") from None
    return head, seen


def _judged(answer: HttpAnswer, at: PacPlace, url: str, earlier: PacScript | None) -> PacScript | PacFault:
    where = authority(at.host, at.port)
    if answer.status == _UNCHANGED and earlier is not None:
        return msgspec.structs.replace(earlier, fetched_at=time.time())
    if answer.status in _WITH_WORDS:
        return PacFault(Outcome.PORTAL, f"{where} answers {answer.words}")
    if answer.status != _NEW:
        return PacFault(Outcome.ERROR, f"{where} answers {answer.words}")
    if answer.values(b"content-encoding") not in ((), ("identity",)):
        return PacFault(Outcome.ERROR, f"{where} sends it compressed, which was not requested")
    kind = next(iter(answer.values(b"content-type")), "")
    charset = _CHARSET.search(kind[:_LONGEST_MARK])
    script = _script(answer.rest, charset[1] if charset else "", url, where)
    if isinstance(script, PacFault):
        return script
    return msgspec.structs.replace(
        script,
        fetched_at=time.time(),
        etag=_mark(answer, b"etag"),
        last_modified=_mark(answer, b"last-modified"),
    )


def _mark(answer: HttpAnswer, name: bytes) -> str:
    """What a server calls this version; '' if it is nothing that could be sent back."""
    value = next(iter(answer.values(name)), "").strip()
    return value if len(value) <= _LONGEST_MARK and value.isascii() and value.isprintable() else ""


def _script(data: bytes, charset: str, url: str, where: str) -> PacScript | PacFault:
    if len(data) > LARGEST_SCRIPT:
        return PacFault(Outcome.ERROR, f"{where}: the PAC file has more than {LARGEST_SCRIPT // 2**20} MiB")
    text = decoded(data, charset)
    if is_html(text):
        return PacFault(Outcome.PORTAL, f"{where} answers with a page instead of a PAC file")
    return PacScript(text, url)


def read_file(path: str, *, is_asked_for: bool = False) -> PacScript | PacFault:
    """A PAC file of this host. One that others can write decides for root where Docker goes: it is refused.

    `is_asked_for`: by a person, to see what it says: then it may be anybody's.
    """
    where = escaped(path)
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)  # opens no device: that may already be a command to it
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return PacFault(Outcome.ERROR, f"{where} is not a regular file")
            if not is_asked_for and (unsafe := _unsafe(status, path)):
                return PacFault(Outcome.ERROR, f"{where} {unsafe}")
            with Path(f"/proc/self/fd/{descriptor}").open("rb") as file:
                data = file.read(LARGEST_SCRIPT + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        return PacFault(Outcome.ERROR, f"{where} cannot be read: {error.strerror}")
    script = _script(data, "", f"file://{path}", where)
    return script if isinstance(script, PacFault) else msgspec.structs.replace(script, fetched_at=time.time())


def _unsafe(status: os.stat_result, path: str) -> str:
    """Who else could write it, and what to do; '' if nobody."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to another user than root. Try: sudo chown root {escaped(shlex.quote(path))}"
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        return f"can be written by others (mode {mode:04o}). Try: sudo chmod go-w {escaped(shlex.quote(path))}"
    return ""


class _Files:
    """Reads files that may hang, such as one on a mount whose server has gone.

    Each in a thread of its own that nobody joins: in the loop's few threads, a handful of tries would leave none for
    everybody else. A file whose last read still hangs is not read again.
    """

    def __init__(self) -> None:
        self._hanging: set[str] = set()

    async def read(self, path: str, timeout_s: float, *, is_asked_for: bool) -> PacScript | PacFault:
        where = escaped(path)
        if path in self._hanging or len(self._hanging) >= _MOST_HANGING:
            return PacFault(Outcome.TIMEOUT, f"reading {where}: an earlier read still hangs")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[PacScript | PacFault] = loop.create_future()
        self._hanging.add(path)

        def run() -> None:
            read = read_file(path, is_asked_for=is_asked_for)
            self._hanging.discard(path)
            with contextlib.suppress(RuntimeError):  # the loop ended while it hung
                loop.call_soon_threadsafe(lambda: None if found.done() else found.set_result(read))

        threading.Thread(target=run, name="PAC file", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                return await found
        except TimeoutError:
            return PacFault(Outcome.TIMEOUT, f"reading {where}: timed out after {timeout_s:g} s")


_FILES: Final = _Files()


# WPAD: where a PAC file may be, in a place that does not say it in the policy.

_MOST_NAMED: Final = 3  # by DHCP
_MOST_DOMAINS: Final = 6  # MAXDNSRCH of glibc's resolv.h before 2.26


def wpad(by_dhcp: Sequence[str], search: Sequence[str]) -> tuple[str, ...]:
    """Where it may be, in order: what DHCP says (option 252), then `wpad` in each search domain, and in none above it.

    A domain without a dot is nobody's: `wpad.com` is somebody else's.
    """
    named = [url for url in map(_trimmed, by_dhcp) if _is_on_the_web(url)][:_MOST_NAMED]
    domains = [name for name in (one.strip(".").lower() for one in search) if "." in name][:_MOST_DOMAINS]
    found = (*named, *(f"http://wpad.{domain}/wpad.dat" for domain in domains))
    return tuple(dict.fromkeys(url for url in found if _is_on_the_web(url)))


def _trimmed(text: str) -> str:
    """Some servers end it as a text of C, or as a line."""
    return text.strip("\0\r\n\t ")


def _is_on_the_web(url: str) -> bool:
    found = place_of(url)
    return isinstance(found, PacPlace) and found.scheme != "file"


async def fetch_first(urls: Sequence[str], earlier: PacScript | None, by: Fetching) -> PacScript | PacFault:
    """The first of these that has one. They are asked side by side: a server that is gone costs nothing twice."""
    if not urls:
        return PacFault(Outcome.DNS, "WPAD: neither DHCP (option 252) nor a search domain says where a PAC file is")
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(fetch(url, earlier, by, is_the_policys=False)) for url in urls]
    found = [task.result() for task in asked]
    scripts = [one for one in found if isinstance(one, PacScript)]
    faults = [one for one in found if isinstance(one, PacFault)]
    # A name that does not exist says less than a server that does not answer.
    return next(iter(scripts), None) or min(faults, key=lambda fault: fault.outcome is Outcome.DNS)
