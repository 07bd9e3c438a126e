"""The policy's text: what it means, or what is wrong with it.

Pure: the text of the TOML file goes in, a `Policy` or its problems come out.
Every problem names table, key and value, and what was expected; all of them are found in one reading.
Not known here: how several files become one document (`policy_parts.py`), how msgspec's errors are worded
(`policy_faults.py`), and what is valid but unwise (`policy_warnings.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from agent.values.listening import is_loopback
from agent.values.policy import (
    DIRECT,
    DIRECT_NAME,
    OFFLINE_NAME,
    PAC_REFRESH,
    Address,
    Audit,
    Clients,
    Docker,
    Duration,
    Exclusion,
    HostPattern,
    Listen,
    Mac,
    Method,
    Network,
    NetworkTable,
    NoProxy,
    PacUrl,
    Pattern,
    Policy,
    Probing,
    Problems,
    ReachedHost,
    RegistryUrl,
    Relay,
    Size,
    Subnet,
    Table,
    Upstream,
    UpstreamTable,
    UpstreamUrl,
)
from agent.values.policy_faults import KNOWN_TABLES, fault_in, meant, shown, take_out, unknown, worded
from agent.values.policy_parts import NETWORK, UPSTREAM, Joined, Part, join
from agent.values.remark import Remark

T = TypeVar("T", bound=Table)
_VALUES: Final = (
    *(Duration, Size, Address, Subnet, Mac, Pattern, Exclusion, RegistryUrl, ReachedHost, UpstreamUrl),
    *(PacUrl, HostPattern),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MOST_FAILURES: Final = 100
_CONNECTIONS: Final = range(16, 65537)  # a quarter of them is for one source; each takes two descriptors, or four
_MOST_PROBLEMS: Final = 50  # of one table; each costs a reading of it

# Shorter is a typing mistake, and costs others: a probe is a request to a registry.
_BOUNDS: Final = {
    "probe.timeout": ("100ms", "1m"),
    "probe.recheck": ("100ms", "1d"),  # or "0s": only on events
    "probe.failback": ("0s", "1d"),
    "docker.min_interval": ("0s", "1d"),
    "audit.keep": ("1h", "36500d"),
}
_PAC_REFRESH_BOUNDS: Final = ("10s", "7d")
_MAY_BE_ZERO: Final = frozenset({"probe.recheck"})


def parse(text: str) -> Policy | Problems:
    """The policy that a TOML text means, or everything that is wrong with it."""
    joined = join([Part(text)])
    return joined if isinstance(joined, Problems) else parse_joined(joined)


def parse_joined(joined: Joined) -> Policy | Problems:
    """The same of several files."""
    return _Reading(joined).policy()


class _Reading:
    """One reading of a document; collects what is wrong on the way."""

    def __init__(self, joined: Joined) -> None:
        self.document = joined.document
        self._origins = joined.origins
        self._file = ""  # of what is being looked at
        self.problems = list(joined.problems)

    def _note(self, *texts: str) -> None:
        self.problems += [Remark(text, self._file) for text in texts]

    def policy(self) -> Policy | Problems:
        for key, file in self._origins.tables.items():
            if key not in KNOWN_TABLES:
                self._file = file
                self._note(f"{key}: {unknown(key, KNOWN_TABLES)}")
        probe, clients = self._single("probe", Probing), self._single("clients", Clients)
        docker = self._single("docker", Docker)
        audit, exclusions = self._single("audit", Audit), self._single("no_proxy", NoProxy)
        self._check_probe(probe)
        self._check_docker(docker)
        relay = self._single("relay", Relay)
        self._check_relay(relay)
        upstreams = self._upstreams()
        if relay.enable:
            self._check_is_no_loop(relay, upstreams)
        networks = self._networks(upstreams)
        if self.problems:
            return Problems(tuple(self.problems))
        exclusions = msgspec.structs.replace(exclusions, always=_one_by_one(exclusions.always))
        return Policy(
            probe=probe,
            docker=docker,
            clients=clients,
            audit=audit,
            no_proxy=exclusions,
            relay=relay,
            upstreams=upstreams,
            networks=networks,
        )

    def _single(self, name: str, kind: type[T]) -> T:
        """A table that stands once; what is wrong in it has its default, so that the rest can be looked at."""
        self._turn_to(name)
        read, _ = self._table(name, self.document.get(name, {}), kind)
        read = read or kind()
        for key in read.__struct_fields__:
            value = getattr(read, key)
            if isinstance(value, Duration):
                self._check_bounds(f"{name}.{key}", value)
        return read

    def _turn_to(self, table: str) -> None:
        self._file = self._origins.tables.get(table, "")

    def _check_bounds(self, label: str, value: Duration) -> None:
        least, most = _BOUNDS[label]
        if not value and label in _MAY_BE_ZERO:
            return
        if not Duration.parse(least) <= value <= Duration.parse(most):
            table, _, key = label.partition(".")
            zero = '"0s", or ' if label in _MAY_BE_ZERO else ""
            self._note(f'{label}: "{self.document[table][key]}" is out of range: write {zero}"{least}" to "{most}"')

    def _table(self, label: str, raw: object, kind: type[T]) -> tuple[T | None, frozenset[str]]:
        """The valid part of a table, and its wrong keys, each reported and removed."""
        wrong: set[str] = set()
        for _ in range(_MOST_PROBLEMS):
            try:
                return msgspec.convert(raw, kind, dec_hook=_value), frozenset(wrong)
            except msgspec.ValidationError as error:
                fault = fault_in(str(error))
                if fault.missing not in wrong:
                    self._note(worded(label, raw, fault, kind))
                if not fault.steps or not take_out(raw, fault.steps):
                    break
                wrong.add(fault.steps[0])
        return None, frozenset(wrong)

    def _check_probe(self, probe: Probing) -> None:
        self._turn_to("probe")
        if not 1 <= probe.failures <= _MOST_FAILURES:
            self._note(f"probe.failures: {probe.failures} is out of range: write 1 to {_MOST_FAILURES}")
        if probe.ca_file and not probe.ca_file.startswith("/"):
            self._note(f'probe.ca_file: "{probe.ca_file}" is not an absolute path, such as "/etc/ssl/certs/corp.pem"')

    def _check_docker(self, docker: Docker) -> None:
        self._turn_to("docker")
        if docker.service and not re.fullmatch(r"[A-Za-z0-9:_.@-]+\.service", docker.service):
            self._note(f'docker.service: "{docker.service}" is not the name of a unit, such as "docker.service"')
        if docker.socket and not docker.socket.startswith("/"):
            self._note(f'docker.socket: "{docker.socket}" is not an absolute path, such as "/run/docker.sock"')
        if docker.restart_command and docker.method is Method.DROP_IN:
            self._note('docker.restart_command: is only for method = "daemon-json": set that, or leave it out')
        self._note(
            *(
                f'docker.take_along: "{name}" is not the name of a unit or a pattern, such as "*-firewall.service"'
                for name in docker.take_along
                if not re.fullmatch(r"[A-Za-z0-9:_.@\\*?\[\]!-]+\.[a-z*]+|.*\*", name)
            )
        )

    def _check_relay(self, relay: Relay) -> None:
        self._turn_to("relay")
        if relay.port not in range(1, 65536):
            self._note(f"relay.port: {relay.port} is not a port: write 1 to 65535")
        is_listen_read = not any(problem.text.startswith("relay.listen") for problem in self.problems)
        if is_listen_read and Listen.LOOPBACK not in relay.listen:
            self._note('relay.listen: "loopback" is missing: add it, because dockerd reaches the relay there')
        if relay.max_connections not in _CONNECTIONS:
            least, most = _CONNECTIONS[0], _CONNECTIONS[-1]
            self._note(f"relay.max_connections: {relay.max_connections} is out of range: write {least} to {most}")

    def _check_is_no_loop(self, relay: Relay, upstreams: Mapping[str, Upstream]) -> None:
        for name, upstream in upstreams.items():
            self._file = self._origins.upstreams.get(name, "")
            if any(url.port == relay.port and is_loopback(url) for url in upstream.urls):
                self._note(
                    f"upstream.{name}: is at port {relay.port} of this host, where the relay listens: write another"
                    " relay.port"
                )

    def _upstreams(self) -> dict[str, Upstream]:
        found = {DIRECT_NAME: DIRECT}
        for name, table in self.document[UPSTREAM].items():
            label, self._file = f"upstream.{name}", self._origins.upstreams[name]
            if name == DIRECT_NAME:
                self._note(f"{label}: direct is built in and cannot be defined; use another name")
                continue
            if not _NAME.fullmatch(name):
                self._note(f'{label}: "{name}" is not a name: write letters, digits, dots, dashes and underscores')
            read, wrong = self._table(label, table, UpstreamTable)
            found[name] = DIRECT if read is None else self._upstream(label, name, read, wrong)
        return found

    def _upstream(self, label: str, name: str, read: UpstreamTable, wrong: frozenset[str]) -> Upstream:
        self._note(*(f"{label}{problem}" for problem in _upstream_problems(read, wrong)))
        return Upstream(
            name,
            http=read.url.url or read.http_url.url,
            https=read.url.url or read.https_url.url,
            username=read.username,
            password_file=read.password_file,
            password_credential=read.password_credential,
            no_proxy=_one_by_one(read.no_proxy),
            owner=read.owner,
            container_url=read.container_url.url,
            pac=read.pac,
            pac_refresh=read.pac_refresh,
            trusted=read.trusted,
        )

    def _networks(self, upstreams: Mapping[str, Upstream]) -> tuple[Network, ...]:
        found: list[Network] = []
        files: dict[str, list[str]] = {}  # of each name
        for number, table in enumerate(self.document[NETWORK], start=1):
            spot = self._origins.spot(number)
            self._file = spot.file
            named = table.get("name") if isinstance(table, dict) else None
            label = spot.label(named if isinstance(named, str) else "")
            read, wrong = self._table(label, table, NetworkTable)
            if read is None:
                continue
            if read.name == OFFLINE_NAME:
                self._note(f"{label}.name: the log says {OFFLINE_NAME} where there is no network; use another name")
            if "use" not in wrong:
                self._check_use(label, read.use, upstreams)
                if read.match.is_empty and "match" not in wrong:
                    self._check_is_not_auto(label, read.use, upstreams)
            found.append(Network(read.name or f"network {number}", read.use, read.match, read.unreachable))
            files.setdefault(found[-1].name, []).append(spot.file)
        self._check_names(files)
        return tuple(found)

    def _check_names(self, files: Mapping[str, Sequence[str]]) -> None:
        for name, those in sorted(files.items()):
            if len(those) < 2:
                continue
            self._file = those[-1]
            others = [file for file in dict.fromkeys(those) if file != self._file]
            where = f" (in {' and '.join(others)}, too)" if others else ""
            self._note(f'network: the name "{name}" is used {len(those)} times{where}; names must be unique')

    def _check_use(self, label: str, use: tuple[str, ...], upstreams: Mapping[str, Upstream]) -> None:
        if not use:
            self._note(f'{label}.use: names no upstream; write ["direct"] for none')
        for name in dict.fromkeys(use):
            if name not in upstreams:
                self._note(f'{label}.use: "{name}" is not an upstream; {meant(name, upstreams)}')
            elif use.count(name) > 1:
                self._note(f'{label}.use: "{name}" is listed twice; once is enough')

    def _check_is_not_auto(self, label: str, use: tuple[str, ...], upstreams: Mapping[str, Upstream]) -> None:
        self._note(
            *(
                f'{label}.use: "{name}" has pac = "auto", which trusts whoever answers: give the network a match'
                for name in dict.fromkeys(use)
                if name in upstreams and upstreams[name].pac == PacUrl.AUTO
            )
        )


def _upstream_problems(read: UpstreamTable, wrong: frozenset[str]) -> list[str]:
    """What is wrong between the keys of an upstream, or with one that is right by its kind."""
    found = []
    if wrong.isdisjoint({"url", "http_url", "https_url", "pac"}):
        found += _pac_problems(read) if read.pac else _url_problems(read)
    if read.password_file and read.password_credential:
        found.append(".password_file and password_credential: use only one of them")
    if (read.password_file or read.password_credential) and not read.username and "username" not in wrong:
        found.append(": username is missing; a password needs one")
    if read.password_file and not read.password_file.startswith("/"):
        such_as = 'such as "/etc/docker-proxy-agent/office.password"'
        found.append(f'.password_file: "{read.password_file}" is not an absolute path, {such_as}')
    if read.password_credential and not re.fullmatch(r"[A-Za-z0-9_.-]+", read.password_credential):
        such_as = "as LoadCredential= gives it"
        found.append(f'.password_credential: "{read.password_credential}" is not the name of a credential, {such_as}')
    if read.owner and (problem := _owner_problem(read)):
        found.append(f".{problem}")
    return found


def _url_problems(read: UpstreamTable) -> list[str]:
    found = []
    apart = bool(read.http_url.url or read.https_url.url)
    if read.url.url and apart:
        found.append(": url is set together with http_url or https_url: use one or the other")
    elif not read.url.url and not apart:
        found.append(': url is missing, such as "http://proxy.example:3128"')
    if read.trusted:
        found.append(".trusted: is only for pac")
    if read.pac_refresh != PAC_REFRESH:
        found.append(".pac_refresh: is only for pac")
    return found


def _pac_problems(read: UpstreamTable) -> list[str]:
    """A PAC file says what the proxies are."""
    beside = {
        "url": read.url.url,
        "http_url": read.http_url.url,
        "https_url": read.https_url.url,
        "container_url": read.container_url.url,
        "owner": read.owner,
    }
    found = [f".{key}: is set together with pac: use one or the other" for key, value in beside.items() if value]
    least, most = _PAC_REFRESH_BOUNDS
    if not Duration.parse(least) <= read.pac_refresh <= Duration.parse(most):
        found.append(f'.pac_refresh: {read.pac_refresh:g} s is out of range: write "{least}" to "{most}"')
    return found


def _one_by_one(entries: Iterable[Exclusion]) -> tuple[Exclusion, ...]:
    """A text with commas counts as several entries, as for Docker (FACTS 9)."""
    return tuple(Exclusion(one) for entry in entries for one in entry.split(","))


def _owner_problem(read: UpstreamTable) -> str:
    if not read.owner.isprintable() or ":" in read.owner:
        return f"owner: {shown(read.owner)} is not the name of a user"
    for url in (read.url.url, read.http_url.url, read.https_url.url):
        if url is not None and not is_loopback(url):
            return f"owner: is only for a proxy on loopback, such as 127.0.0.1; {url} is not"
    return ""


def _value(kind: type, raw: object) -> Any:
    """msgspec's hook: a text becomes one of the value types above, or says why not."""
    if kind not in _VALUES:
        raise NotImplementedError(kind)
    if not isinstance(raw, str):
        raise ValueError("is not text in quotes")  # noqa: TRY004 - msgspec words a TypeError for itself
    return kind.parse(raw)  # type: ignore[attr-defined, unused-ignore]
