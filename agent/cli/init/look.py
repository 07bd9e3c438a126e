"""Finds what a system has before there is a policy. Reads, and asks those that listen here whether they are proxies.

A stopped Docker is not asked, nor is a running one: what its files say is what counts at its next start. People's files
are read as their users. A PAC file that somebody names is fetched, to see whether it is one of this place; it is not
evaluated. Not known here: what becomes of it (`decide/first_policy.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.cli.caller import environment_of_caller
from agent.clients.homes import Homes
from agent.clients.users import Account, Caller, ThisSystem, who
from agent.docker import process, unit_file
from agent.docker.overruling import environment_in
from agent.docker.which import serving
from agent.one_pass.pac_source import HostPacs
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.world import TheWorld
from agent.probe import pac_program
from agent.probe.dial import HERE
from agent.see import netlink
from agent.see.see import see
from agent.system.programs import run
from agent.system.text_files import read_text
from agent.system.wpad_by_dhcp import wpad_by_dhcp
from agent.targets import client_config, daemon_json, desktop, environment
from agent.targets.refused import TextRefused
from agent.values.errors import AgentError, TargetFailed
from agent.values.found import Found, Kind, LocalPort, Said, SaidPac
from agent.values.listening import loopback_addresses
from agent.values.pac import PacFault, PacScript
from agent.values.paths import Paths
from agent.values.policy import Clients, PacUrl, Policy, Upstream
from agent.values.settings import DIRECT, Proxy, ProxyUrl, Scheme, Settings, settings
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

# Clash and mihomo; squid, cntlm and px; privoxy; tinyproxy; and whatever is SOCKS.
_USUAL: Final = {
    7890: Scheme.HTTP, 7897: Scheme.HTTP, 3128: Scheme.HTTP, 8118: Scheme.HTTP, 8888: Scheme.HTTP, 1080: Scheme.SOCKS5,
}  # fmt: skip
_LOOPBACK: Final = ("127.0.0.1", "::1")
# A program that is no proxy answers CONNECT with 4xx, or breaks off; a proxy that denies the registry is of no use.
_NO_PROXY: Final = frozenset({Outcome.REFUSED, Outcome.ERROR, Outcome.PROXY_DENIED})
# A proxy that wants a password, or denies the registry, is here.
_NOT_HERE: Final = frozenset({Outcome.DNS, Outcome.NO_ROUTE, Outcome.REFUSED, Outcome.TIMEOUT})
_MOST_ASKED: Final = 8
_MOST_CONNECTIONS: Final = 500
# Of a method that it does not know, as Python's own web server says it. A proxy without a way out says 500, 502 to 504.
_NOT_IMPLEMENTED: Final = "501 Not Implemented"
_OF_DOCKER: Final = ("host.docker.internal", "gateway.docker.internal")  # and the address of its bridge
_SHELL_FILES: Final = ("/etc/default/docker", "/etc/sysconfig/docker", "/etc/environment")
_EXPORT = re.compile(r"(?m)^[ \t]*export[ \t]+")
_FIRST_PERSON: Final = 1000
_WITHIN_S: Final = 3.0


async def look(paths: Paths, told: Iterable[ProxyUrl] = ()) -> Found:
    """Everything, from this moment. `told`: what whoever runs this knows."""
    return await _Look(serving(paths, "")).found(told)


class _Look:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._of_docker = tuple(filter(None, (*_OF_DOCKER, netlink.ipv4_at(daemon_json.DEFAULT_BRIDGE))))
        self._said: list[Said] = []
        self._remarks: list[str] = []
        self._named: dict[PacUrl, list[str]] = {}  # PAC files, and who names them
        self._named_by_us: set[PacUrl] = set()  # those that whoever runs this has named, or root
        self._sockets = LocalSockets(ThisSystem(paths.root))

    async def found(self, told: Iterable[ProxyUrl]) -> Found:
        snapshot = await see(self._paths, with_macs=True)
        for url in told:
            self._say("the command line (--proxy)", Kind.PERSON, Settings(http=url, https=url))
        if await wpad_by_dhcp(self._paths):
            self._say_pac("DHCP (option 252)", PacUrl.AUTO)
        await asyncio.to_thread(self._files)
        await self._homes()
        self._say_environment("the environment of this command", os.environ)
        if (theirs := environment_of_caller()) is not None and theirs is not os.environ:
            # No PAC file of theirs: whether they may have root ask for any is sudo's to say.
            self._say("the environment of your shell", Kind.ELSEWHERE, _of_environment(theirs))
        listening = await asyncio.to_thread(self._listening, _USUAL)
        asked = {
            port for one in self._said for url in (one.means.http, one.means.https) for port in self._ports_here(url)
        }
        listeners = await asyncio.to_thread(self._listening, sorted(asked - _USUAL.keys()))
        ports = await self._proxies(listening)
        return Found(
            snapshot,
            tuple(sorted(self._said, key=lambda said: [*Kind].index(said.kind))),
            pacs=await self._pacs(snapshot),
            ports=ports,
            listeners=(*listeners, *listening),
            dead={} if snapshot.is_offline else await self._dead(),
            of_docker=self._of_docker,
            tunnels=tuple(link.name for link in netlink.links() if not link.has_neighbours),
            remarks=tuple(self._remarks),
        )

    def _say(self, where: str, kind: Kind, means: Settings) -> None:
        if means != DIRECT:
            self._said.append(Said(where, kind, means))

    def _say_environment(self, where: str, values: Mapping[str, str]) -> None:
        """Of a shell. auto_proxy is read by few programs, and set by desktops for them."""
        self._say(where, Kind.ELSEWHERE, _of_environment(values))
        self._say_pac(where, values.get("auto_proxy") or values.get("AUTO_PROXY") or "", is_ours=True)

    def _say_pac(self, where: str, text: str, *, is_ours: bool = False) -> None:
        try:
            pac = PacUrl.parse(text)
        except ValueError as error:  # it may hold a password, and is not shown
            self._remarks.append(f"{where}: the URL of its PAC file {error}; it is left out")
            return
        if pac:
            self._named.setdefault(pac, []).append(where)
            if is_ours:
                self._named_by_us.add(pac)

    async def _pacs(self, snapshot: Snapshot) -> tuple[SaidPac, ...]:
        """Which of them are here. Each is asked for as by the agent: directly, without a password.

        What only this host can reach is not asked for what another user names: root's question may be a command there.
        """
        source = HostPacs(self._paths, Policy(), HERE)
        # What they name themselves first: where it is the one of DHCP as well, that is no other one.
        pacs = sorted(self._named, key=lambda pac: pac == PacUrl.AUTO)[:_MOST_ASKED]
        if snapshot.is_offline or not pac_program.is_there():
            why_not = "this machine is not in a network" if snapshot.is_offline else _needs_pacparser()
            return tuple(SaidPac(pac, tuple(self._named[pac]), why_not) for pac in pacs)
        asked = (source.fetch(pac, None, snapshot.dns_search, is_the_policys=pac in self._named_by_us) for pac in pacs)
        fetched = await asyncio.gather(*asked)
        found: dict[str, SaidPac] = {}  # by where the script is
        for pac, script in zip(pacs, fetched, strict=True):
            wheres, at = tuple(self._named[pac]), script.url if isinstance(script, PacScript) else str(pac)
            why_not = f"{script.outcome.value}: {script.evidence}" if isinstance(script, PacFault) else ""
            known = found.get(at, SaidPac(pac, (), why_not))
            found[at] = msgspec.structs.replace(known, wheres=(*known.wheres, *wheres))
        return tuple(found.values())

    def _text(self, path: Path) -> str:
        try:
            return read_text(path) or ""
        except TargetFailed as error:
            self._remarks.append(f"{path}: {error.wrong}; it is skipped")
            return ""

    def _files(self) -> None:
        path = self._paths.daemon_json
        with self._refused(path):
            text = self._text(path)
            self._say(str(path), Kind.DAEMON_JSON, daemon_json.texts(text).meaning())
            self._say(f"{path} (beside proxies)", Kind.ELSEWHERE, daemon_json.misplaced(text).meaning())
        self._connections()
        named: set[Path] = set()
        for file in self._unit_files():
            text = self._text(file)
            self._say(str(file), Kind.UNIT, environment.texts(environment_in(text)).meaning())
            for start in unit_file.assigned(text, "ExecStart"):
                with contextlib.suppress(ValueError):  # an unclosed quotation mark: systemd does not start it, either
                    self._say(str(file), Kind.FLAGS, process.flags(shlex.split(start)).proxies.meaning())
            named |= {
                self._paths.below(value.lstrip("-")) for value in unit_file.assigned(text, "EnvironmentFile") if value
            }
        for file in sorted(named - {self._paths.environment_file}):
            self._say(str(file), Kind.UNIT, environment.texts(environment.parse(self._text(file))).meaning())
        for name in _SHELL_FILES:
            file = self._paths.below(name)
            text = self._text(file)
            values = environment.parse(_EXPORT.sub("", text))
            if file in named:  # what systemd leaves out of it (FACTS 200)
                values = {key: value for key, value in values.items() if key not in environment.parse(text)}
            self._say_environment(str(file), values)

    def _connections(self) -> None:
        """Of NetworkManager. They hold keys of networks: whoever may not read them learns nothing."""
        for folder in map(self._paths.below, desktop.CONNECTIONS):
            with contextlib.suppress(OSError):
                for name in sorted(os.listdir(folder))[:_MOST_CONNECTIONS]:  # noqa: PTH208 - names alone
                    with contextlib.suppress(TargetFailed):
                        self._connection(folder / name)

    def _connection(self, file: Path) -> None:
        found = desktop.network_manager(read_text(file) or "")
        if found is None:
            return
        if found.pac:
            self._say_pac(f'{file}: the connection "{found.name}"', found.pac)
        else:
            names = f", which names {', '.join(found.proxies)}" if found.proxies else ""
            self._remarks.append(
                f'{file}: the connection "{found.name}" has a PAC script{names}. Save it in a file owned by'
                ' root, and name that in the policy: pac = "file:///etc/docker-proxy-agent/NAME.pac"'
            )

    def _unit_files(self) -> list[Path]:
        """Docker's unit and its drop-ins, as systemd reads them: of the same name only the first folder's."""
        service = self._paths.layout.service
        ours = self._paths.drop_in(service)
        folders = [self._paths.below(folder) for folder in self._paths.layout.unit_folders]
        found: dict[str, Path] = {}
        for folder in folders:
            with contextlib.suppress(OSError):
                for name in os.listdir(folder / f"{service}.d"):  # noqa: PTH208 - is sorted below
                    if name.endswith(".conf"):
                        found.setdefault(name, folder / f"{service}.d" / name)
        fragment = [folder / service for folder in folders if os.path.lexists(folder / service)][:1]
        return [*fragment, *(found[name] for name in sorted(found) if found[name] != ours)]

    @contextlib.contextmanager
    def _refused(self, where: object) -> Iterator[None]:
        try:
            yield
        except TextRefused as error:
            self._remarks.append(f"{where}: {error}; it is skipped")

    async def _homes(self) -> None:
        """Everybody's docker client and desktop."""
        root = str(self._paths.root)
        listed = await asyncio.to_thread(
            who, Clients(), ThisSystem(self._paths.root), Caller.this(), root, more=self._paths.layout.configs
        )
        homes = Homes()
        seen: set[Path] = set()
        async with homes.one_pass():
            for account in listed.accounts:
                with self._refused(account.config):
                    text = await self._of_home(homes, account, account.config)
                    means = client_config.texts(text, client_config.DEFAULT).meaning() if text else DIRECT
                    self._say(str(account.config), Kind.CLIENT, means)
                if account.home not in seen:
                    seen.add(account.home)
                    await self._desktops(homes, account)

    async def _of_home(self, homes: Homes, account: Account, path: Path) -> str:
        try:
            found = await homes.read(account, path)
        except AgentError:  # closed, hung, or not there: nothing to learn from
            return ""
        return found.text if found is not None else ""

    async def _desktops(self, homes: Homes, account: Account) -> None:
        path = account.home.joinpath(*desktop.KDE)
        found = {str(path): desktop.kde(await self._of_home(homes, account, path))}
        if self._paths.is_real and account.uid >= _FIRST_PERSON:
            found[f"the desktop of {account.name} (gsettings)"] = desktop.gnome(await _gsettings(account))
        for where, said in found.items():
            self._say(where, Kind.ELSEWHERE, said.means)
            self._say_pac(where, said.pac, is_ours=account.uid == os.geteuid())

    def _listening(self, ports: Iterable[int]) -> tuple[LocalPort, ...]:
        found = []
        for port in ports:
            try:
                there = self._sockets.listeners(port, _LOOPBACK)
            except AgentError:
                continue
            heard = [one for one in there if one.hears_this_host and any(one.takes(host, port) for host in _LOOPBACK)]
            if heard:
                host = _LOOPBACK[0] if any(one.takes(_LOOPBACK[0], port) for one in heard) else _LOOPBACK[1]
                uids = {one.uid for one in heard}
                owner = self._sockets.name(uids.pop()) if len(uids) == 1 else ""
                found.append(LocalPort(port, host, owner))
        return tuple(found)

    def _ports_here(self, url: Proxy | None) -> tuple[int, ...]:
        """Its port, if it is on this host."""
        if not isinstance(url, ProxyUrl):
            return ()
        return (url.port,) if loopback_addresses(url.host) or url.host in self._of_docker else ()

    async def _dead(self) -> Mapping[ProxyUrl, str]:
        """Proxies elsewhere that are not here. No password is sent: it is not known yet whose network this is."""
        said = (url for one in self._said for url in (one.means.http, one.means.https, one.means.all))
        far = dict.fromkeys(
            url.without_credentials() for url in said if isinstance(url, ProxyUrl) and not self._ports_here(url)
        )
        asked = dict(zip((f"far-{number}" for number in range(_MOST_ASKED)), far, strict=False))
        verdicts = await self._verdicts({name: Upstream(name, http=url, https=url) for name, url in asked.items()})
        return {url: verdicts[name].outcome.value for name, url in asked.items() if _is_dead(verdicts[name])}

    async def _verdicts(self, upstreams: Mapping[str, Upstream]) -> Mapping[str, Verdict]:
        if not upstreams:
            return {}
        prober = TheWorld(self._paths, Policy(upstreams=dict(upstreams))).prober
        return await prober.verdicts(tuple(upstreams.values()), lambda _: False)

    async def _proxies(self, listening: Iterable[LocalPort]) -> tuple[LocalPort, ...]:
        """Those that speak as a proxy: what else listens at such a port is somebody's program."""
        by_name = {f"local-{one.port}": one for one in listening}
        verdicts = await self._verdicts({name: _upstream(name, one) for name, one in by_name.items()})
        found = []
        for name, one in by_name.items():
            verdict = verdicts[name]
            if verdict.outcome in _NO_PROXY or _NOT_IMPLEMENTED in verdict.evidence:
                self._remarks.append(
                    f"{one.host}:{one.port} listens, but does not work as a proxy ({verdict.outcome.value}"
                    f"{f': {verdict.evidence}' if verdict.evidence else ''}); it is left out"
                )
            else:
                found.append(one)
        return tuple(found)


def _needs_pacparser() -> str:
    return f"it needs pacparser, which is not installed. Run: {pac_program.how_to_install(is_there=False)}"


def _is_dead(verdict: Verdict) -> bool:
    """Whether not even a connection to the proxy came about. One that keeps us waiting for an answer is here."""
    is_connected = verdict.timings.proxy is not None or verdict.timings.answer is not None
    return verdict.outcome in _NOT_HERE and not is_connected


def _upstream(name: str, port: LocalPort) -> Upstream:
    url = ProxyUrl(_USUAL[port.port], port.host, port.port)
    return Upstream(name, http=url, https=url, owner=port.owner)


def _of_environment(values: Mapping[str, str]) -> Settings:
    """As curl and the like read it; ALL_PROXY counts."""
    said = environment.texts(values)
    return settings(said.http, said.https, said.no_proxy, values.get("ALL_PROXY") or values.get("all_proxy") or "")


async def _gsettings(account: Account) -> str:
    """As the user whose settings they are; '' where there are none."""
    whose = {"HOME": str(account.home), "XDG_RUNTIME_DIR": f"/run/user/{account.uid}"}
    becomes_them = os.geteuid() == 0
    as_user = ("runuser", "-u", account.name, "--") if becomes_them else ()
    try:
        done = await run((*as_user, *desktop.GNOME), _WITHIN_S, whose, is_anothers=becomes_them)
    except (OSError, TimeoutError):
        return ""
    return done.out.decode(errors="replace") if done.status == 0 else ""
