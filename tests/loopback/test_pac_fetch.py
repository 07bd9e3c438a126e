"""PAC files fetched from real servers: whole, unchanged, in any encoding, and what is none."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.probe.dial import Address, Ground, from_here
from agent.probe.pac_fetch import Fetching, fetch, fetch_first, read_file, wpad
from agent.probe.tls import Trust
from agent.system.wpad_by_dhcp import by_network_manager, wpad_by_dhcp
from agent.values.pac import LARGEST_SCRIPT, PacFault, PacScript
from agent.values.paths import Paths
from agent.values.verdict import Outcome
from tests.loopback.certificates import INTERCEPTOR, server_tls, trust
from tests.loopback.servers import HOST, Says, Server, closed_port
from tests.loopback.test_probe import a_hanging_resolver, the_tests_names

SCRIPT = 'function FindProxyForURL(url, host) { return "PROXY büro:8080"; }'
WITHIN_S = 10.0
SOON_S = 0.4


def answer(body: bytes = SCRIPT.encode(), *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def moved(to: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {to}", status=status)


class Wpad(Server):
    """Answers each path as it is told to, and by the mark of what it has with 304."""

    def __init__(self, pages: dict[str, bytes] | None = None, *, mark: str = "", **kind: object) -> None:
        super().__init__(**kind)  # type: ignore[arg-type]  # the server's own
        self.pages = pages or {"/wpad.dat": answer()}
        self._mark = mark

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await self.head(reader)).decode()
        path = head.split(" ")[1]
        if self._mark and self._mark in head:
            writer.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        else:
            writer.write(self.pages.get(path, answer(b"no", status="404 Not Found")))
        await writer.drain()
        writer.write_eof() if writer.can_write_eof() else writer.close()
        await reader.read()


NETWORK = "192.0.2.7"  # of the network, as far as those who fetch can tell; it is the test's server


async def names_of_the_network(host: str, port: int) -> Sequence[Address]:
    await the_tests_names(host, port)
    return [(socket.AF_INET, (NETWORK, port))]


async def connected(family: int, address: tuple[Any, ...]) -> socket.socket:
    return await from_here(family, (HOST, address[1]) if address[0] == NETWORK else address)


ELSEWHERE = Ground(names_of_the_network, connected)


async def fetched(
    url: str, earlier: PacScript | None = None, *, tls: Trust | None = None, within_s: float = WITHIN_S
) -> PacScript | PacFault:
    return await fetch(url, earlier, Fetching(tls or Trust(), within_s, ELSEWHERE))


async def script_of(url: str, earlier: PacScript | None = None, *, tls: Trust | None = None) -> PacScript:
    found = await fetched(url, earlier, tls=tls)
    assert isinstance(found, PacScript), found
    return found


async def fault_of(url: str, *, tls: Trust | None = None, within_s: float = WITHIN_S) -> tuple[str, str]:
    found = await fetched(url, tls=tls, within_s=within_s)
    assert isinstance(found, PacFault), found
    assert found.evidence.isprintable()
    return found.outcome.value, found.evidence


async def test_a_script_is_fetched_and_says_when() -> None:
    async with Wpad(
        {"/wpad.dat?x=%20y": answer(SCRIPT.encode(), "Content-Type: application/x-ns-proxy-autoconfig")}
    ) as wpad:
        began = time.time()

        found = await script_of(f"http://wpad.test:{wpad.port}/wpad.dat?x=%20y")

    assert (found.text, found.url) == (SCRIPT, f"http://wpad.test:{wpad.port}/wpad.dat?x=%20y")
    assert began <= found.fetched_at <= time.time()
    head = wpad.heads[0].decode()
    assert head.startswith("GET /wpad.dat?x=%20y HTTP/1.1\r\n")
    assert f"Host: wpad.test:{wpad.port}\r\n" in head
    assert "If-" not in head


@pytest.mark.parametrize(("header", "mark"), [
    ('ETag: "seven"', 'If-None-Match: "seven"'),
    ("Last-Modified: Fri, 27 Nov 2026 10:00:00 GMT", "If-Modified-Since: Fri, 27 Nov 2026 10:00:00 GMT"),
])  # fmt: skip
async def test_one_that_is_unchanged_is_not_sent_again(header: str, mark: str) -> None:
    async with Wpad({"/wpad.dat": answer(SCRIPT.encode(), header)}, mark=mark) as wpad:
        url = f"http://{HOST}:{wpad.port}/wpad.dat"
        first = await script_of(url)

        again = await script_of(url, first)
        elsewhere = await script_of(
            url, PacScript("other", "http://other/", etag=first.etag, last_modified=first.last_modified)
        )

    assert again.text == SCRIPT
    assert again.fetched_at > first.fetched_at
    assert (again.etag, again.last_modified) == (first.etag, first.last_modified)
    assert mark in wpad.heads[1].decode()
    assert elsewhere.text == SCRIPT  # the mark of another file is not sent
    assert "If-" not in wpad.heads[2].decode()


async def test_one_that_changed_is_sent_again() -> None:
    async with Wpad({"/wpad.dat": answer(SCRIPT.encode(), 'ETag: "7"')}) as wpad:
        url = f"http://{HOST}:{wpad.port}/wpad.dat"
        first = await script_of(url)
        wpad.pages["/wpad.dat"] = answer(b"// new", 'ETag: "8"')

        found = await script_of(url, first)

    assert (found.text, found.etag) == ("// new", '"8"')


@pytest.mark.parametrize("mark", ["x" * 300, "a\x1b[2Jb", "b\u00fcro"])
async def test_a_mark_that_could_not_be_sent_back_is_none(mark: str) -> None:
    async with Says(b"HTTP/1.1 200 OK\r\nETag: " + mark.encode("latin-1") + b"\r\n\r\n" + SCRIPT.encode()) as wpad:
        found = await fetched(f"http://{HOST}:{wpad.port}/wpad.dat")

    assert isinstance(found, PacFault) or found.etag == ""


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
    f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (SCRIPT.encode()[:20], SCRIPT.encode()[20:], b"")
)


@pytest.mark.parametrize("said", [
    pytest.param(answer(SCRIPT.encode(), "Content-Type: text/html"), id="the-wrong-type"),
    pytest.param(answer(b"\xef\xbb\xbf" + SCRIPT.encode(), "Content-Type: text/plain; charset=iso-8859-1"), id="with-a-BOM"),
    pytest.param(answer(SCRIPT.encode("latin-1"), 'Content-Type: text/plain; charset="ISO-8859-1"'), id="ISO-8859-1"),
    pytest.param(answer(SCRIPT.encode("latin-1")), id="ISO-8859-1-that-nobody-told"),
    pytest.param(answer(SCRIPT.encode("utf-16")), id="UTF-16"),
    pytest.param(CHUNKED, id="chunked"),
    pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + SCRIPT.encode(), id="until-the-end"),
    pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(), id="after-another-head"),
])  # fmt: skip
async def test_a_script_is_taken_as_it_comes(said: bytes) -> None:
    async with Says(said) as wpad:
        found = await script_of(f"http://{HOST}:{wpad.port}/wpad.dat")

    assert found.text == SCRIPT


async def test_a_byte_more_than_1024_kilobytes_is_too_much() -> None:
    just, more = b"/" * LARGEST_SCRIPT, b"/" * (LARGEST_SCRIPT + 1)
    async with Wpad(
        {"/just": answer(just), "/more": answer(more), "/endless": b"HTTP/1.1 200 OK\r\n\r\n" + more * 3}
    ) as wpad:
        at = f"http://{HOST}:{wpad.port}"

        assert len((await script_of(f"{at}/just")).text) == LARGEST_SCRIPT
        for path in ("/more", "/endless"):
            assert await fault_of(at + path) == ("error", f"{HOST}:{wpad.port}: the PAC file has more than 1 MiB")


@pytest.mark.parametrize(("said", "fault"), [
    pytest.param(answer(b"<!DOCTYPE html><title>Sign in</title>"), ("portal", "{at} answers with a page instead of a PAC file"), id="a-page"),
    pytest.param(answer(b"", status="511 Network Authentication Required"), ("portal", "{at} answers 511 Network Authentication Required"), id="511"),
    pytest.param(answer(b"", status="404 \x1b[2J"), ("error", "{at} answers 404 Not Found"), id="404"),
    pytest.param(answer(b"", status="304 Not Modified"), ("error", "{at} answers 304 Not Modified"), id="304-of-nothing"),
    pytest.param(answer(b"", status="407 Proxy Authentication Required"), ("error", "{at} answers 407 Proxy Authentication Required"), id="407"),
    pytest.param(answer(b"x", "Content-Encoding: gzip"), ("error", "{at} sends it compressed, which was not requested"), id="compressed"),
    pytest.param(b"SSH-2.0-x\r\n", ("error", 'waiting for the PAC file of 127.0.0.1: not HTTP: "SSH-2.0-x\\x0d\\x0a"'), id="no-HTTP"),
    pytest.param(b"", ("error", "waiting for the PAC file of 127.0.0.1: closed without an answer"), id="nothing"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nfunction", ("error", "waiting for the PAC file of 127.0.0.1: answered with broken HTTP, or the connection was lost"), id="half"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX:" + b" \t" * 2048 + b"\x0b\r\n\r\n", ("error", "waiting for the PAC file of 127.0.0.1: answered with 4096 blanks in a row"), id="blanks"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX", ("error", "waiting for the PAC file of 127.0.0.1: connection lost"), id="half-a-head"),
    pytest.param(moved("file:///etc/passwd"), ("error", "{at} redirects from http to file"), id="to-a-file"),
    pytest.param(moved("ftp://x/"), ("error", "{at} redirects to what is neither http nor https, nor a file"), id="to-ftp"),
    pytest.param(moved("http://[::1"), ("error", "{at} redirects to what is neither http nor https, nor a file"), id="to-nothing"),
    pytest.param(moved("http://u:p@x/"), ("error", "{at} redirects to what contains a user or password: a PAC file is fetched without one"), id="with-a-password"),
    pytest.param(answer(b"", status="302 Found"), ("error", "{at} redirects to what is neither http nor https, nor a file"), id="to-nowhere"),
    pytest.param(moved("/wpad.dat"), ("error", "http://{at}/wpad.dat: more than 3 redirects"), id="in-circles"),
])  # fmt: skip
async def test_what_is_no_script_is_called_what_it_is(said: bytes, fault: tuple[str, str]) -> None:
    async with Says(said) as wpad:
        outcome, evidence = await fault_of(f"http://{HOST}:{wpad.port}/wpad.dat?secret=1")

    assert (outcome, evidence) == (fault[0], fault[1].format(at=f"{HOST}:{wpad.port}"))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n/\r\n" * 50_000 + b"0\r\n\r\n",
            id="chunks",
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000 + answer(), id="continue"),
    ],
)
async def test_one_that_comes_in_pieces_of_nothing_is_not_taken_apart_for_long(said: bytes) -> None:
    async with Says(said) as wpad:
        fault = await fault_of(f"http://{HOST}:{wpad.port}/wpad.dat")

    assert fault[0] == "error"
    assert fault[1].endswith("answered in more than 10000 pieces")


async def test_three_redirects_are_followed() -> None:
    pages = {"/0": moved("/1"), "/1": moved("2", "307 Temporary Redirect"), "/3": answer()}
    async with Wpad(pages) as wpad:
        wpad.pages["/2"] = moved(f"http://other.test:{wpad.port}/3", "301 Moved Permanently")

        found = await script_of(f"http://{HOST}:{wpad.port}/0")

    assert (found.text, found.url) == (SCRIPT, f"http://{HOST}:{wpad.port}/0")
    assert f"Host: other.test:{wpad.port}" in wpad.heads[3].decode()


@pytest.mark.parametrize(
    "near", ["127.0.0.9", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0", "localhost.test"]
)
async def test_no_server_chooses_what_root_asks_of_this_host(near: str) -> None:
    async with Wpad({"/wpad.dat": moved("http://far.test/")}) as service, Wpad() as server:
        server.pages["/wpad.dat"] = moved(f"http://{near}:{service.port}/wpad.dat")
        by = Fetching(Trust(), WITHIN_S, Ground(the_tests_names, connected))

        found = await fetch(f"http://{HOST}:{server.port}/wpad.dat", None, by)
        named = await fetch_first([f"http://{near}:{service.port}/wpad.dat"], None, by)

    for one in (found, named):
        assert isinstance(one, PacFault), one
        assert one.evidence.endswith("leads to what only this host can reach: asked only if the policy names it")
    assert service.heads == []


async def test_what_root_names_may_be_on_this_host_and_send_on_within_itself() -> None:
    async with Wpad({"/wpad.dat": moved("/other"), "/other": answer()}) as server:
        assert (await script_of(f"http://{HOST}:{server.port}/wpad.dat")).text == SCRIPT


async def test_a_portal_sends_to_its_page() -> None:
    async with Wpad({"/wpad.dat": moved("/sign-in"), "/sign-in": answer(b"\n<html>")}) as portal:
        outcome, _ = await fault_of(f"http://{HOST}:{portal.port}/wpad.dat")

    assert outcome == "portal"


async def test_https_is_checked_against_the_policys_ca(tmp_path: Path) -> None:
    ours, theirs = server_tls("wpad.test"), server_tls("wpad.test", ca=INTERCEPTOR)
    async with Wpad(tls=ours) as good, Wpad(tls=theirs) as bad:
        found = await script_of(f"https://wpad.test:{good.port}/wpad.dat", tls=trust(tmp_path))
        outcome, evidence = await fault_of(f"https://wpad.test:{bad.port}/wpad.dat", tls=trust(tmp_path))
        good.pages["/wpad.dat"] = moved(f"http://wpad.test:{good.port}/")
        weaker = await fault_of(f"https://wpad.test:{good.port}/wpad.dat", tls=trust(tmp_path))

    assert found.text == SCRIPT
    assert outcome == "tls"
    assert evidence.startswith("TLS with wpad.test: ")
    assert bad.heads == []  # nothing was asked of it
    assert weaker == ("error", f"wpad.test:{good.port} redirects from https to http")


async def test_who_cannot_be_reached_is_called_as_by_a_probe() -> None:
    assert (await fault_of(f"http://{HOST}:{closed_port()}/"))[0] == "refused"
    assert (await fault_of("http://nobody.invalid/"))[0] == "dns"


async def test_a_slow_one_is_not_waited_for() -> None:
    async with Says(b"HTTP/1.1 200 OK\r\n\r\nfunction", stays=True) as wpad:
        began = time.monotonic()

        found = await fault_of(f"http://{HOST}:{wpad.port}/", within_s=SOON_S)

    assert found == ("timeout", "waiting for the PAC file of 127.0.0.1: timed out after 0.4 s")
    assert time.monotonic() - began < WITHIN_S / 2


async def test_a_hanging_look_up_is_not_waited_for() -> None:
    found = await fetch("http://wpad.test/", None, Fetching(Trust(), SOON_S, Ground(resolve=a_hanging_resolver)))

    assert found == PacFault(Outcome.TIMEOUT, "looking up wpad.test: timed out after 0.4 s")


@pytest.mark.parametrize(("url", "evidence"), [
    ("http://alice:Zecret9@wpad/", "‹unparsable›: contains a user or password: a PAC file is fetched without one"),
    ("gopher://wpad/", "gopher://wpad: is neither http nor https, nor a file"),
    ("wpad.dat", "wpad.dat: is neither http nor https, nor a file"),
    ("http://wpad:99999/", "http://wpad:99999: is not a URL"),
    ("http://wpad/\x1b[2J", "‹unparsable›: is not a URL"),
    ("file://server/share.pac", "‹unparsable›: is not a path on this host"),
])  # fmt: skip
async def test_what_is_no_url_of_one(url: str, evidence: str) -> None:
    outcome, said = await fault_of(url)

    assert outcome == "error"
    assert said.endswith(evidence.partition(": ")[2])
    assert "Zecret9" not in said


async def test_a_pac_in_a_file_of_this_machine_is_read(tmp_path: Path) -> None:
    file = tmp_path / "my proxy.pac"
    file.write_bytes(SCRIPT.encode("utf-16"))
    file.chmod(0o644)

    found = await script_of(f"file://{tmp_path}/my%20proxy.pac")

    assert found.text == SCRIPT
    assert found.fetched_at > 0


async def test_a_file_on_a_mount_that_hangs_takes_no_thread_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "office.pac"
    file.write_text(SCRIPT)
    file.chmod(0o644)
    answers, opened = threading.Event(), os.open
    tries: list[str] = []

    def hanging(path: str, *how: int) -> int:
        if str(path) == str(file):
            tries.append(path)
            answers.wait(WITHIN_S)
        return opened(path, *how)

    monkeypatch.setattr(os, "open", hanging)
    faults = [await fault_of(f"file://{file}", within_s=0.05) for _ in range(40)]

    assert len(tries) == 1
    assert faults[0] == ("timeout", f"reading {file}: timed out after 0.05 s")
    assert {*faults[1:]} == {("timeout", f"reading {file}: an earlier read still hangs")}
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "others go on"), WITHIN_S)
    answers.set()
    for thread in [one for one in threading.enumerate() if one.name == "PAC file"]:
        thread.join(WITHIN_S)
    assert (await script_of(f"file://{file}")).text == SCRIPT


async def test_a_file_lies_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/office.pac").write_text(SCRIPT)
    (tmp_path / "etc/office.pac").chmod(0o644)

    found = await fetch("file:///etc/office.pac", None, Fetching(Trust(), WITHIN_S, below=Paths(tmp_path).below))

    assert isinstance(found, PacScript)
    assert found.text == SCRIPT


IN_OPEN = 0x20  # linux/inotify.h


def test_what_is_no_regular_file_is_not_opened_for_that_may_be_a_command_to_a_device(tmp_path: Path) -> None:
    libc, pipe, file = ctypes.CDLL(None), tmp_path / "office.pac", tmp_path / "other.pac"
    os.mkfifo(pipe)
    file.write_text(SCRIPT)
    opened = libc.inotify_init1(os.O_NONBLOCK)
    for path in (pipe, file):
        assert libc.inotify_add_watch(opened, os.fsencode(path), IN_OPEN) > 0

    assert isinstance(read_file(str(pipe)), PacFault)
    with pytest.raises(BlockingIOError):
        os.read(opened, 4096)
    assert isinstance(read_file(str(file)), PacScript)
    assert os.read(opened, 4096)
    os.close(opened)


@pytest.mark.parametrize(("broken", "why"), [
    (lambda file: file.chmod(0o666), "can be written by others (mode 0666). Try: sudo chmod go-w FILE"),
    pytest.param(lambda file: os.chown(file, 4711, -1), "belongs to another user than root. Try: sudo chown root FILE", marks=pytest.mark.needs_root),
    (lambda file: os.mkfifo(file.rename(file.with_suffix(".old")).with_suffix(".pac")), "is not a regular file"),
    (lambda file: file.rename(file.with_suffix(".old")).with_suffix(".pac").mkdir(), "is not a regular file"),
    (lambda file: file.unlink(), "cannot be read: No such file or directory"),
    (lambda file: file.write_bytes(b"/" * (LARGEST_SCRIPT + 1)), ": the PAC file has more than 1 MiB"),
])  # fmt: skip
async def test_a_file_that_is_not_taken(tmp_path: Path, broken: Callable[[Path], object], why: str) -> None:
    file = tmp_path / "office.pac"
    file.write_text(SCRIPT)
    file.chmod(0o644)
    broken(file)

    outcome, evidence = await fault_of(f"file://{file}")

    assert outcome == "error"
    assert evidence == f"{file}{'' if why.startswith(':') else ' '}{why.replace('FILE', str(file))}"


def test_a_person_may_ask_about_any_file(tmp_path: Path) -> None:
    file = tmp_path / "downloaded.pac"
    file.write_text(SCRIPT)
    file.chmod(0o666)

    found = read_file(str(file), is_asked_for=True)

    assert isinstance(found, PacScript)
    assert found.text == SCRIPT


@pytest.mark.parametrize(("by_dhcp", "search", "urls"), [
    pytest.param(["http://proxy.corp.example/a.pac\0"], ["corp.example"], ["http://proxy.corp.example/a.pac", "http://wpad.corp.example/wpad.dat"], id="both"),
    pytest.param([], ["Corp.Example.", "b.example", "corp.example"], ["http://wpad.corp.example/wpad.dat", "http://wpad.b.example/wpad.dat"], id="by-DNS"),
    pytest.param([], ["com", "", "."], [], id="a-domain-that-is-nobodys"),
    pytest.param([], ["a b.example", "x\x1b.example", "..", "u@v.example"], [], id="no-names"),
    pytest.param(["file:///etc/passwd", "http://u:p@x/", "\n", "http://x\n"], [], ["http://x"], id="what-is-no-URL"),
    pytest.param([f"http://h{n}/" for n in range(9)], [f"d{n}.example" for n in range(9)],
                 [*(f"http://h{n}/" for n in range(3)), *(f"http://wpad.d{n}.example/wpad.dat" for n in range(6))], id="not-too-many"),
])  # fmt: skip
def test_where_a_pac_file_may_be(by_dhcp: list[str], search: list[str], urls: list[str]) -> None:
    assert wpad(by_dhcp, search) == tuple(urls)


async def test_the_first_that_has_one_is_taken() -> None:
    async with (
        Wpad({"/none": answer(b"", status="404 Not Found")}) as first,
        Wpad({"/wpad.dat": answer(b"// second")}) as second,
    ):
        by = Fetching(Trust(), WITHIN_S, ELSEWHERE)
        urls = [f"http://a.test:{first.port}/none", f"http://b.test:{second.port}/wpad.dat", "http://nobody.invalid/"]

        found = await fetch_first(urls, None, by)
        nothing = await fetch_first([urls[2], urls[0]], None, by)

    assert isinstance(found, PacScript)
    assert (found.text, found.url) == ("// second", urls[1])
    assert nothing == PacFault(Outcome.ERROR, f"a.test:{first.port} answers 404 Not Found")
    assert await fetch_first([], None, by) == PacFault(
        Outcome.DNS, "WPAD: neither DHCP (option 252) nor a search domain says where a PAC file is"
    )


async def test_what_networkd_was_told_by_dhcp(tmp_path: Path) -> None:
    leases = tmp_path / "run/systemd/netif/leases"
    leases.mkdir(parents=True)
    url = "http://wpad.corp.example/a.pac"
    (leases / "2").write_text(f"ADDRESS=10.10.0.7\nOPTION_252={url.encode().hex()}\nDOMAINNAME=corp.example\n")
    (leases / "3").write_text("OPTION_252=zz\nOPTION_251=6868\n")
    (leases / "4").write_text(f"OPTION_252={b'x'.hex() * 3000}\n")

    assert await wpad_by_dhcp(Paths(tmp_path)) == (url,)
    assert await wpad_by_dhcp(Paths(tmp_path / "nowhere")) == ()


BUSCTL = """#!/bin/sh
[ "$1 $2 $3 $4" = "--system --json=short get-property org.freedesktop.NetworkManager" ] || exit 9
case "$5 $7" in
*"NetworkManager PrimaryConnection") echo '{"type":"o","data":"/org/freedesktop/NetworkManager/ActiveConnection/2"}' ;;
*"NetworkManager ActiveConnections") echo '{"type":"ao","data":["/org/freedesktop/NetworkManager/ActiveConnection/1","/org/freedesktop/NetworkManager/ActiveConnection/2",7]}' ;;
*"ActiveConnection/1 Dhcp4Config") echo '{"type":"o","data":"/org/freedesktop/NetworkManager/DHCP4Config/1"}' ;;
*"ActiveConnection/2 Dhcp4Config") echo '{"type":"o","data":"/org/freedesktop/NetworkManager/DHCP4Config/2"}' ;;
*"DHCP4Config/1 Options") echo '{"type":"a{sv}","data":{"ip_address":{"type":"s","data":"10.1.0.7"},"wpad":{"type":"s","data":"http://one/"}}}' ;;
*"DHCP4Config/2 Options") echo '{"type":"a{sv}","data":{"wpad":{"type":"s","data":"http://two/"}}}' ;;
*) exit 1 ;;
esac
"""


@pytest.mark.parametrize(("program", "said"), [
    pytest.param(BUSCTL, ["http://two/", "http://one/"], id="the-way-out-first"),
    pytest.param("#!/bin/sh\nexit 1\n", [], id="not-allowed"),
    pytest.param("#!/bin/sh\necho no JSON\n", [], id="no-JSON"),
    pytest.param("#!/bin/sh\necho '{\"data\": {\"wpad\": 3}}'\n", [], id="of-another-kind"),
])  # fmt: skip
async def test_what_network_manager_was_told_by_dhcp(tmp_path: Path, program: str, said: list[str]) -> None:
    busctl = tmp_path / "busctl"
    busctl.write_text(program)
    busctl.chmod(0o755)

    assert await by_network_manager(str(busctl)) == said
    assert await by_network_manager(str(tmp_path / "none")) == []
