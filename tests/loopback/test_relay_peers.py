"""Other people's programs through the relay: what asks it, and what it goes through."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.values.relay import Orders, RelayUpstream
from tests.loopback.certificates import CORP, server_tls
from tests.loopback.peers import LARGE, PROXIES, ended, needed, own_address, ran, site, upstream
from tests.loopback.relays import relay
from tests.loopback.servers import HOST, closed_port

SUM: Final = hashlib.sha256(LARGE).hexdigest().encode()


class World(msgspec.Struct, frozen=True):
    """Two servers with the same files, and a relay that leads to them."""

    folder: Path
    relay: int
    http: str
    https: str
    ca_file: Path

    async def ran(self, *command: str, **environment: str) -> bytes:
        return await ran(*command, proxy=self.relay, cwd=self.folder, ca_file=self.ca_file, **environment)


@asynccontextmanager
async def world(tmp_path: Path, name: str = "direct") -> AsyncIterator[World]:
    folder, root = tmp_path / "site", tmp_path / "root"
    folder.mkdir()
    ca_file = tmp_path / "ca.pem"
    CORP.cert_pem.write_to_path(str(ca_file))
    host = own_address()
    with site(host, folder) as http, site(host, folder, server_tls(host)) as https:
        async with upstream(name, tmp_path) as way, relay(root, Orders(1, (way,))) as one:
            await one.until_it_obeys(1)
            yield World(folder, one.port, f"http://{host}:{http}", f"https://{host}:{https}", ca_file)
            one.running._state.write()
            (carried,) = one.state().carried
            assert (carried.upstream, carried.bytes_down > 0) == (name, True)


@pytest.mark.parametrize("name", ["direct", *PROXIES])
async def test_curl_through_every_kind_of_upstream(tmp_path: Path, name: str) -> None:
    """Large answers with and without a length, a body in chunks, and a tunnel; several on one connection."""
    (tmp_path / "large").write_bytes(LARGE)
    quiet = ("curl", "-sSf", "--noproxy", "")
    async with world(tmp_path, name) as here:
        twice = await here.ran(*quiet, f"{here.http}/large", f"{here.http}/chunks")
        assert twice == LARGE * 2

        upload = ("-T", str(tmp_path / "large"))
        assert await here.ran(*quiet, *upload, f"{here.http}/echo") == LARGE
        if name != "px":  # it loses such a body, also without a relay (px 0.13)
            assert await here.ran(*quiet, *upload, "-H", "Transfer-Encoding: chunked", f"{here.http}/echo") == LARGE
        assert await here.ran(*quiet, *upload, f"{here.https}/echo") == LARGE
        assert await here.ran(*quiet, "--http1.0", f"{here.http}/large") == LARGE

        seen = (await here.ran(*quiet, "-U", "theirs:own", f"{here.http}/headers")).lower()
        assert b"proxy-auth" not in seen
        assert b"proxy-connection" not in seen


async def test_apt_updates_and_downloads(tmp_path: Path) -> None:
    needed("apt-get")
    async with world(tmp_path) as here:
        package = here.folder / "hello_1_all.deb"
        package.write_bytes(LARGE)
        about = ("Package: hello", "Version: 1", "Architecture: all", f"Filename: ./{package.name}")
        listed = "\n".join((*about, f"Size: {len(LARGE)}", f"SHA256: {SUM.decode()}", ""))
        (here.folder / "Packages").write_text(listed)
        digest = hashlib.sha256(listed.encode()).hexdigest()
        (here.folder / "Release").write_text(
            f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {len(listed)} Packages\n"
        )
        root = tmp_path / "apt"
        for below in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "state/lists/partial", "cache/archives/partial"):
            (root / below).mkdir(parents=True)
        sources = root / "sources.list"
        sources.write_text(f"deb [trusted=yes] {here.http} ./\n")
        (root / "status").write_text("")
        options = {
            "Dir": root, "Dir::Etc": root / "etc/apt", "Dir::Etc::SourceList": sources, "Dir::State": root / "state",
            "Dir::State::Status": root / "status", "Dir::Cache": root / "cache", "APT::Sandbox::User": "",
            "Acquire::Languages": "none", "APT::Get::List-Cleanup": "0",
        }  # fmt: skip
        said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

        await here.ran("apt-get", "-q", *said, "update")
        (here.folder / "got").mkdir()
        await here.ran("sh", "-c", 'cd got && exec apt-get "$@"', "sh", "-q", *said, "download", "hello")

        assert (here.folder / "got" / package.name).read_bytes() == LARGE


async def test_git_clones_by_http_and_by_https(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        bare = here.folder / "it.git"
        source = tmp_path / "source"
        source.mkdir()
        (source / "large").write_bytes(LARGE)
        as_me = ("git", "-c", "user.name=a", "-c", "user.email=a@b.test", "-c", "init.defaultBranch=main")
        for command in (("init", "-q"), ("add", "large"), ("commit", "-q", "-m", "x")):
            await here.ran(*as_me, "-C", str(source), *command)
        await here.ran(*as_me, "clone", "-q", "--bare", str(source), str(bare))
        await here.ran(*as_me, "-C", str(bare), "update-server-info")

        for number, url in enumerate((here.http, here.https)):
            await here.ran(*as_me, "clone", "-q", f"{url}/it.git", str(tmp_path / f"clone{number}"))
            assert (tmp_path / f"clone{number}/large").read_bytes() == LARGE


PYTHON: Final = """
import hashlib, sys, urllib.request
for url in sys.argv[1:]:
    request = urllib.request.Request(url, data=None)
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(hashlib.sha256(answer.read()).hexdigest())
"""


async def test_python(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        urls = [f"{url}/{name}" for url in (here.http, here.https) for name in ("large", "chunks")]

        said = await here.ran(sys.executable, "-c", PYTHON, *urls)

        assert said.replace(b"\n", b"") == SUM * 4


# Node has no client of its own that goes by http_proxy before 24: programs do as this one does.
NODE: Final = """
const http = require('http'), https = require('https'), tls = require('tls'), crypto = require('crypto');
const [plain, secure, proxyUrl] = process.argv.slice(1), proxy = new URL(proxyUrl);
const at = {host: proxy.hostname, port: proxy.port, agent: new http.Agent({keepAlive: true, maxSockets: 1})};
const fail = error => { console.error(error); process.exit(1); };
const summed = answer => new Promise((done, broken) => {
  const hash = crypto.createHash('sha256');
  answer.on('data', data => hash.update(data)).on('end', () => done(hash.digest('hex'))).on('error', broken);
});
const get = path => new Promise((done, broken) => http.get(
  {...at, path: plain + path, headers: {Host: new URL(plain).host}}, answer => summed(answer).then(done, broken)
).on('error', broken));
const tunnel = end => new Promise((done, broken) => http.request(
  {host: at.host, port: at.port, method: 'CONNECT', path: end}
).on('connect', (_, socket) => done(socket)).on('error', broken).end());
const upgrade = () => new Promise((done, broken) => http.get(
  {...at, agent: false, path: plain + '/switch',
   headers: {Host: new URL(plain).host, Connection: 'Upgrade', Upgrade: 'echo'}}
).on('upgrade', (_, socket) => {
  socket.once('data', data => { done(data.toString()); socket.destroy(); });
  socket.write('hello');
}).on('error', broken));
(async () => {
  console.log(await get('/large'), await get('/chunks'));
  const end = new URL(secure), socket = await tunnel(end.host);
  console.log(await new Promise((done, broken) => https.get(
    {createConnection: () => tls.connect({socket, host: end.hostname}), path: '/large', headers: {Host: end.host}},
    answer => summed(answer).then(done, broken)
  ).on('error', broken)));
  console.log(await upgrade());
  process.exit(0);
})().catch(fail);
"""


async def test_node_and_a_switch_to_another_protocol(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        said = await here.ran("node", "-e", NODE, here.http, here.https, f"http://{HOST}:{here.relay}")

        assert said == b"%s %s\n%s\nhello\n" % (SUM, SUM, SUM)


async def test_docker_shows_why_it_was_refused(tmp_path: Path) -> None:
    """Its command asks the registry as dockerd does."""
    needed("docker")
    end = f"{own_address()}:{closed_port()}"
    async with relay(tmp_path / "root", Orders(1, (RelayUpstream("corp"),))) as one:
        await one.until_it_obeys(1)

        said = await ended("docker", "manifest", "inspect", f"{end}/image", proxy=one.port, cwd=tmp_path)

        assert said.returncode != 0
        assert f'"https://{end}/v2/": through corp: connecting to {end}: nothing listens there'.encode() in said.stderr
