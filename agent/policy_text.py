"""The policy's text: what it means, or what is wrong with it, in the words of a person who has to mend it.

Pure: the text of the TOML file goes in, a `Policy` or its problems come out, and what is valid but unwise.
Every problem names table, key and value, and what was expected; every table's first one is found in one reading.
"""

from __future__ import annotations

import enum
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

import msgspec

from agent.listening import is_loopback
from agent.policy import (
    DIRECT,
    DIRECT_NAME,
    Address,
    Audit,
    Clients,
    Docker,
    Duration,
    Exclusion,
    Mac,
    Method,
    Network,
    NetworkTable,
    NoProxy,
    Pattern,
    Policy,
    Probing,
    Problems,
    RegistryUrl,
    Size,
    Subnet,
    Table,
    Upstream,
    UpstreamTable,
    UpstreamUrl,
)
from agent.secret import redacted
from agent.settings import Scheme

T = TypeVar("T", bound=Table)
_VALUES: Final = (Duration, Size, Address, Subnet, Mac, Pattern, Exclusion, RegistryUrl, UpstreamUrl)
_KNOWN_TABLES: Final = ("probe", "docker", "clients", "audit", "no_proxy", "upstream", "network")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def parse(text: str) -> Policy | Problems:
    """The policy that a TOML text means, or every table's first problem."""
    try:
        document = tomllib.loads(text)
        has_nul = "\0" in str(document) or "\\x00" in str(document)
    except tomllib.TOMLDecodeError as error:
        return Problems((f"not TOML: {error}",))
    except ValueError:  # a number of thousands of digits
        return Problems(("not a policy: a number in it is too long",))
    except RecursionError:
        return Problems(("not a policy: nested too deeply",))
    if has_nul:
        return Problems(("not a policy: no text in it may hold a NUL",))
    return _Reading(document).policy()


class _Reading:
    """One reading of a document; collects what is wrong on the way."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.problems: list[str] = []

    def policy(self) -> Policy | Problems:
        for key in self.document:
            if key not in _KNOWN_TABLES:
                self.problems.append(f"{key}: unknown; known are {', '.join(_KNOWN_TABLES)}")
        probe, clients = self._single("probe", Probing), self._single("clients", Clients)
        docker = self._single("docker", Docker)
        audit, exclusions = self._single("audit", Audit), self._single("no_proxy", NoProxy)
        self._check_probe(probe)
        self._check_docker(docker)
        upstreams = self._upstreams()
        networks = self._networks(upstreams)
        if self.problems:
            return Problems(tuple(self.problems))
        return Policy(probe, docker, clients, audit, exclusions, upstreams, networks)

    def _single(self, name: str, kind: type[T]) -> T:
        return self._table(name, self.document.get(name, {}), kind) or kind()

    def _table(self, label: str, raw: object, kind: type[T]) -> T | None:
        try:
            return msgspec.convert(raw, kind, dec_hook=_value)
        except msgspec.ValidationError as error:
            self.problems.append(_worded(label, raw, str(error), kind))
            return None

    def _check_probe(self, probe: Probing) -> None:
        if not probe.timeout:
            self.problems.append('probe.timeout: "0s" is not longer than nothing')
        elif probe.failures < 1:
            self.problems.append(f"probe.failures: {probe.failures} is not at least 1")
        elif probe.ca_file and not probe.ca_file.startswith("/"):
            self.problems.append(f'probe.ca_file: "{probe.ca_file}" is not an absolute path')

    def _check_docker(self, docker: Docker) -> None:
        if not re.fullmatch(r"[A-Za-z0-9:_.@-]+\.service", docker.service):
            self.problems.append(
                f'docker.service: "{docker.service}" is not the name of a unit, such as "docker.service"'
            )
        elif not docker.socket.startswith("/"):
            self.problems.append(f'docker.socket: "{docker.socket}" is not an absolute path')
        elif docker.restart_command and docker.method is Method.DROP_IN:
            self.problems.append(
                'docker.restart_command: goes with method = "daemon-json" only; systemd reads the drop-in'
            )
        self.problems += [
            f'docker.take_along: "{name}" is not the name of a unit or a pattern, such as "*-firewall.service"'
            for name in docker.take_along
            if not re.fullmatch(r"[A-Za-z0-9:_.@\\*?\[\]!-]+\.[a-z*]+|.*\*", name)
        ]

    def _upstreams(self) -> dict[str, Upstream]:
        raw = self.document.get("upstream", {})
        found = {DIRECT_NAME: DIRECT}
        if not isinstance(raw, dict):
            self.problems.append("upstream: expected tables, such as [upstream.office]")
            return found
        for name, table in raw.items():
            label = f"upstream.{name}"
            if name == DIRECT_NAME:
                self.problems.append(f"{label}: direct is built in and cannot be defined; use another name")
                continue
            if not _NAME.fullmatch(name):
                self.problems.append(f'{label}: "{name}" is not a name: letters, digits, dot, dash and underscore')
                continue
            read = self._table(label, table, UpstreamTable)
            found[name] = DIRECT if read is None else self._upstream(label, name, read)
        return found

    def _upstream(self, label: str, name: str, read: UpstreamTable) -> Upstream:
        apart = bool(read.http_url.url or read.https_url.url)
        problem = ""
        if read.url.url and apart:
            problem = "url stands beside http_url or https_url: write one or the other"
        elif not read.url.url and not apart:
            problem = 'url is missing, such as "http://proxy.example:3128"'
        elif read.password_file and read.password_credential:
            problem = "password_file and password_credential: write one of them"
        elif (read.password_file or read.password_credential) and not read.username:
            problem = "username is missing; a password does not go without"
        elif read.password_file and not read.password_file.startswith("/"):
            problem = f'password_file: "{read.password_file}" is not an absolute path'
        elif read.password_credential and not re.fullmatch(r"[A-Za-z0-9_.-]+", read.password_credential):
            problem = f'password_credential: "{read.password_credential}" is not the name of a credential'
        elif read.owner:
            problem = _owner_problem(read)
        if problem:
            is_of_a_key = problem.startswith(("password_", "owner: "))
            self.problems.append(f"{label}.{problem}" if is_of_a_key else f"{label}: {problem}")
        return Upstream(
            name,
            http=read.url.url or read.http_url.url,
            https=read.url.url or read.https_url.url,
            username=read.username,
            password_file=read.password_file,
            password_credential=read.password_credential,
            no_proxy=tuple(read.no_proxy),
            owner=read.owner,
            container_url=read.container_url.url,
        )

    def _networks(self, upstreams: Mapping[str, Upstream]) -> tuple[Network, ...]:
        raw = self.document.get("network", [])
        if not isinstance(raw, list):
            self.problems.append("network: expected [[network]], with two brackets")
            return ()
        found = []
        for number, table in enumerate(raw, start=1):
            named = table.get("name") if isinstance(table, dict) else None
            label = f"network {number} ({named})" if isinstance(named, str) and named else f"network {number}"
            read = self._table(label, table, NetworkTable)
            if read is None:
                continue
            self._check_use(label, read.use, upstreams)
            found.append(Network(read.name or f"network {number}", read.use, read.match, read.unreachable))
        names = [network.name for network in found]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.problems.append(
                f'network: the name "{name}" stands {names.count(name)} times; a name is for one network'
            )
        return tuple(found)

    def _check_use(self, label: str, use: tuple[str, ...], upstreams: Mapping[str, Upstream]) -> None:
        if not use:
            self.problems.append(f'{label}.use: names no upstream; write ["direct"] for none')
        for name in use:
            if name not in upstreams:
                known = ", ".join(upstreams)
                self.problems.append(f'{label}.use: "{name}" is no upstream; known are {known}')
                return
            if use.count(name) > 1:
                self.problems.append(f'{label}.use: "{name}" stands twice')
                return


def _owner_problem(read: UpstreamTable) -> str:
    if not read.owner.isprintable() or ":" in read.owner:
        return f"owner: {_shown(read.owner)} is not the name of a user"
    for url in (read.url.url, read.http_url.url, read.https_url.url):
        if url is not None and not is_loopback(url):
            return f"owner: goes with a proxy on loopback, such as 127.0.0.1, and {url} is elsewhere"
    return ""


def _value(kind: type, raw: object) -> Any:
    """msgspec's hook: a text becomes one of the value types above, or says why not."""
    if kind not in _VALUES:
        raise NotImplementedError(kind)
    if not isinstance(raw, str):
        raise ValueError("is not a text in quotes")  # noqa: TRY004 - msgspec words a TypeError for itself
    return kind.parse(raw)  # type: ignore[attr-defined, unused-ignore]


_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `[^`]*`")
_IN_WORDS: Final = {
    "str": "a text in quotes",
    "bool": "true or false",
    "int": "a whole number",
    "array": "a list",
    "object": "a table",
}


def _worded(label: str, raw: object, message: str, kind: type) -> str:
    """msgspec's message in the form of every error here: table and key, value, and what was expected."""
    parts = _AT.fullmatch(message)
    what, path = (parts["what"], parts["path"] or "") if parts else (message, "")
    where = label + re.sub(r"\[[^\]]*\]", "", path)
    if unknown := _UNKNOWN.fullmatch(what):
        known = ", ".join(field.name for field in msgspec.structs.fields(_kind_at(kind, path)))
        return f"{where}.{unknown['key']}: unknown; known are {known}"
    if missing := _MISSING.fullmatch(what):
        return f"{where}.{missing['key']}: is missing"
    value = _shown(_at(raw, path))
    if expected := _EXPECTED.fullmatch(what):
        wanted = " or ".join(_IN_WORDS.get(name.strip(), name.strip()) for name in expected["wanted"].split("|"))
        return f"{where}: {value} is not {wanted}"
    if what.startswith("Invalid enum value"):
        return f"{where}: {value} is not one of {_options_at(kind, path)}"
    return f"{where}: {value} {what}"


def _steps(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", path)


def _at(raw: Any, path: str) -> object:
    for step in _steps(path):
        raw = raw[int(step)] if isinstance(raw, list) else raw[step]
    return raw


def _kind_at(kind: Any, path: str) -> Any:
    for step in _steps(path):
        kind = next((field.type for field in msgspec.structs.fields(kind) if field.name == step), kind)
    return kind


def _options_at(kind: Any, path: str) -> str:
    found = _kind_at(kind, path)
    if isinstance(found, type) and issubclass(found, enum.Enum):
        return ", ".join(str(member.value) for member in found)
    words = [word for choice in get_args(found) for word in get_args(choice) if isinstance(word, str)]
    return f"{', '.join(words)}; a list names users"  # `clients.users`, the one key that is a word or a list


def _shown(value: object) -> str:
    """A value of the policy in an error. A URL may hold a password where none belongs."""
    if isinstance(value, str):
        return f'"{redacted(value) if "@" in value or "://" in value else value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)


def warnings(policy: Policy) -> tuple[str, ...]:
    """What is valid and unwise."""
    found = []
    if not policy.probe.recheck:
        found.append('probe.recheck: "0s" looks only on events: a proxy that dies between two is noticed at the next')
    for upstream in policy.upstreams.values():
        if not upstream.is_direct and (upstream.http is None or upstream.https is None):
            missing, given = ("https_url", "http_url") if upstream.https is None else ("http_url", "https_url")
            found.append(f"upstream.{upstream.name}: {given} without {missing}: the other half goes direct")
    found += _network_warnings(policy)
    return tuple(found)


def _network_warnings(policy: Policy) -> list[str]:
    found = []
    for number, network in enumerate(policy.networks, start=1):
        label = f"network {number} ({network.name})"
        if not network.match.is_empty:
            continue
        sent = [name for name in network.use if policy.upstreams[name].sends_password]
        if sent:
            found.append(f"{label}: has no match, so the password of {', '.join(sent)} is sent in every network")
        if number < len(policy.networks):
            found.append(f"{label}: has no match, so what stands below it is never reached")
            break
    return found


def cautions(policy: Policy) -> tuple[str, ...]:
    """What is valid and may be as it must be, and should be known: who gets to see a password on the way.

    Said by `check` alone: most proxies that want one are so.
    """
    found = []
    for name, upstream in policy.upstreams.items():
        if not upstream.sends_password or upstream.owner:
            continue
        clear = [url for url in (upstream.http, upstream.https) if url and url.scheme is not Scheme.HTTPS]
        if any(is_loopback(url) for url in clear):
            found.append(
                f"upstream.{name}: its password is sent to whoever listens there on this machine; with `owner` to that"
                " user's listener alone"
            )
        for number, network in enumerate(policy.networks, start=1):
            if name in network.use and not network.match.is_empty and not all(map(is_loopback, clear)):
                scheme = next(url.scheme.value for url in clear if not is_loopback(url))
                found.append(
                    f"network {number} ({network.name}): the password of {name} is sent in clear to whoever shows this"
                    f" match, for an {scheme}:// proxy does not prove who it is; an https:// one does"
                )
    return tuple(found)
