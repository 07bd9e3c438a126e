"""Other people's programs: proxies that a company may have, and a web server to be reached through them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from agent.values.relay import RelayUpstream
from agent.values.secret import Secret
from agent.values.settings import Credentials, ProxyUrl, Scheme
from tests.loopback.servers import HOST, closed_port

PATIENCE_S: Final = 60.0  # the machine may be busy
ALICE: Final = Credentials("alice", Secret("open-sesame"))
PX: Final = str(Path(sys.executable).with_name("px"))
_SELDOM: Final = ("node", "docker")  # .ci/run and tests/machine/prepare do not install them
LARGE: Final = bytes(range(256)) * 16384  # 4 MB


class Site(http.server.SimpleHTTPRequestHandler):
    """The files of a folder; /large; /chunks; what is sent to /echo; and a switch to something else at /switch."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/large":
            self._answer(LARGE)
        elif self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(LARGE), 100_000):
                piece = LARGE[at : at + 100_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/headers":
            self._answer(str(self.headers).encode())
        elif self.path == "/switch":
            self._switch()
        else:
            super().do_GET()

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(body)

    def _switch(self) -> None:
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()
        while data := self.connection.recv(65536):
            self.wfile.write(data)
        self.close_connection = True

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not into the test's output."""


def own_address() -> str:
    """An address of this host that no program takes for one that needs no proxy. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no address but loopback")
        address: str = asking.getsockname()[0]
        return address


@contextlib.contextmanager
def site(address: str, folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Its port."""
    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(Site, directory=str(folder)))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()


# Proxies: a configuration, and how it is started.

Started = Callable[[Path, int], Sequence[str]]


def _tinyproxy(folder: Path, port: int) -> Sequence[str]:
    config = folder / "tinyproxy.conf"
    login = f"BasicAuth {ALICE.username} {_password()}"
    config.write_text(f"Port {port}\nListen {HOST}\nTimeout 60\nMaxClients 50\nLogLevel Error\n{login}\n")
    return ("tinyproxy", "-d", "-c", str(config))


def _squid(folder: Path, port: int) -> Sequence[str]:
    """It changes its user, who reads nothing in our folder. So who alice is, is said by a program without a file."""
    knows = f"/bin/sed -u -e s/^{ALICE.username}.{_password()}$/OK/ -e t -e s/.*/ERR/"
    config = folder / "squid.conf"
    config.write_text(
        f"http_port {HOST}:{port}\npid_filename none\nvisible_hostname proxy.test\nshutdown_lifetime 0 seconds\n"
        f"auth_param basic program {knows}\nauth_param basic realm office\nacl known proxy_auth REQUIRED\n"
        "http_access allow known\nhttp_access deny all\ncache deny all\n"
        f"access_log none\ncache_log /dev/null\ncache_store_log none\ncoredump_dir {folder}\n"
    )
    return ("squid", "-N", "-f", str(config))


def _microsocks(_: Path, port: int) -> Sequence[str]:
    return ("microsocks", "-i", HOST, "-p", str(port), "-u", ALICE.username, "-P", _password())


def _px(folder: Path, port: int) -> Sequence[str]:
    """Made for NTLM towards its own proxy; what is on this host it reaches by itself. It asks for no login."""
    config = folder / "px.ini"
    config.write_text(
        f"[proxy]\nserver =\nport = {port}\nlisten = {HOST}\nnoproxy = {own_address()}\n"
        "[settings]\nworkers = 1\nlog = 0\n"
    )
    return (PX, f"--config={config}")


def _password() -> str:
    assert isinstance(ALICE.password, Secret)
    return ALICE.password.reveal()


PROXIES: Final[dict[str, tuple[Scheme, Credentials | None, Started]]] = {
    "tinyproxy": (Scheme.HTTP, ALICE, _tinyproxy),
    "squid": (Scheme.HTTP, ALICE, _squid),
    "microsocks": (Scheme.SOCKS5, ALICE, _microsocks),
    "px": (Scheme.HTTP, None, _px),
}


@asynccontextmanager
async def upstream(name: str, folder: Path) -> AsyncIterator[RelayUpstream]:
    """A real proxy by this name, or `direct`."""
    if name == "direct":
        yield RelayUpstream(name)
        return
    scheme, credentials, started = PROXIES[name]
    port = closed_port()
    command = started(folder, port)
    needed(command[0])
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_it_listens(process, port)
        url = ProxyUrl(scheme, HOST, port, credentials)
        yield RelayUpstream(name, url, url)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()


async def _until_it_listens(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.transport.abort()
                return
            await asyncio.sleep(0.02)
    raise AssertionError(f"it ended with {process.returncode}")


def needed(program: str) -> None:
    if shutil.which(program) is None and (program in _SELDOM or not os.environ.get("CI")):
        pytest.skip(f"no {program} here")


async def ran(*command: str, proxy: int, cwd: Path, ca_file: Path | None = None, **environment: str) -> bytes:
    """What a program prints, which must end well."""
    said = await ended(*command, proxy=proxy, cwd=cwd, ca_file=ca_file, **environment)
    assert said.returncode == 0, (said.stdout[-2000:], said.stderr[-2000:].decode(errors="replace"))
    return said.stdout


async def ended(
    *command: str, proxy: int, cwd: Path, ca_file: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A program that is told to use the relay, and nothing else about the network."""
    needed(command[0])
    url = f"http://{HOST}:{proxy}"
    told = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
    believed = {
        name: str(ca_file) for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS")
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "LC_ALL": "C",
            **told,
            **(believed if ca_file else {}),
            **environment,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
        raise AssertionError(f"{command[0]} did not end") from None
    return subprocess.CompletedProcess(command, process.returncode or 0, out, err)
