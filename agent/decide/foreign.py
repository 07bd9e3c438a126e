"""Whether dockerd would start with daemon.json as it is without our change, as far as reading it tells.

Pure. `dockerd --validate` finds more (`docker/validate.py`) and not everything: what only a start finds, and is known
here, is said before the restart in dockerd's own words. For the rest memory decides: a file that no dockerd has
started with is risked only if there is another one to go back to (`docker/last_good.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from agent.decide.restart import Restarting, When
from agent.targets import daemon_json, json_splice
from agent.targets.json_splice import MISSING
from agent.values.condition import Code, Condition
from agent.values.dockerd import FileFault, Reality
from agent.values.errors import LEFT
from agent.values.secret import escaped, redacted

_DEADLY: Final = "Docker is running, but would not survive its next restart"
_BOM: Final = "\ufeff"
_SHORT: Final = {
    "H": "host", "D": "debug", "l": "log-level", "G": "group", "p": "pidfile", "s": "storage-driver", "b": "bridge",
    "g": "graph",
}  # fmt: skip
# The key is the plural of the flag: the flag can be repeated, and the file has a list.
_PLURAL: Final = (
    "host", "label", "insecure-registry", "registry-mirror", "exec-opt", "storage-opt", "authorization-plugin",
    "log-opt", "dns-opt", "cluster-store-opt", "default-address-pool", "node-generic-resource",
)  # fmt: skip
_FLAG_OF_KEY: Final = {re.sub("ry$", "rie", flag) + "s": flag for flag in _PLURAL}
_DEFAULT_RUNTIME: Final = ("default-runtime",)
_RUNTIMES: Final = ("runtimes",)


def refused(words: str, path: str) -> FileFault:
    """Of a daemon.json that dockerd does not take; `words`: its own."""
    return FileFault(path, words, "Fix it, then run: docker-proxy-agent apply", is_dockerds=True)


def condition(fault: FileFault, *, is_deadly: bool = False) -> Condition:
    """What a person is told of it. `is_deadly`: Docker runs, and would not start with the file again."""
    if fault.is_dockerds:
        then = f"; {_DEADLY}" if is_deadly else ", and Docker is not restarted"
        text = f"dockerd would not start with it: {fault.wrong}; nothing is written to it{then}"
    else:
        text = f"{fault.wrong}; {LEFT}; {_DEADLY}" if is_deadly else f"{fault.wrong}; {LEFT}"
    return Condition(Code.FOREIGN_CONFIG_BROKEN, text, fault.remedy, fault.path)


def refusal(text: str | None, reality: Reality) -> FileFault | None:
    """`text`: daemon.json without our change. None: nothing that can be read there keeps dockerd from starting.

    TextRefused: it is no JSON that could be told anything of.
    """
    if text is None:
        return None
    if reality.file.refused_copy and text == reality.daemon_json:
        words = f"it failed when it was tried ({reality.file.refused_copy})"
        return refused(words, reality.daemon_json_path)
    is_as_it_stands = text == reality.daemon_json
    if is_as_it_stands and reality.file.is_tried:  # that dockerd runs with it counts more than rules
        return None
    words = _older(text, reality.arguments) if reality.takes_proxies is False else ""
    words = words or next(_at_start(text, reality), "")
    return refused(words, reality.daemon_json_path) if words else None


def held(due: Restarting, reality: Reality, *, is_asked_now: bool) -> Restarting:
    """The restart that is due, or why it waits: whether dockerd starts with a file that others wrote is unknown."""
    is_known = reality.file.is_tried is not False or reality.file.is_good_known or reality.daemon_json is None
    if due.when is not When.NOW or is_asked_now or is_known:
        return due
    path = reality.daemon_json_path
    untried = f"{path} was written after Docker was started, and no version is known that Docker starts with"
    return Restarting(When.LATER, untried, is_overrulable=True)


def _older(text: str, arguments: Sequence[str]) -> str:
    """What a dockerd before 23.0 would say; it cannot be asked (FACTS 1, 5)."""
    if text.startswith(_BOM):
        return "invalid character 'ï' looking for beginning of value"
    if not text.strip():
        return "EOF"
    names = set(json_splice.names(text, ()))
    if "proxies" in names:
        return "the following directives don't match any configuration option: proxies"
    flags = set(_flags(arguments))
    both = sorted(name for name in names if _FLAG_OF_KEY.get(name, name) in flags)
    if both:
        return f"the following directives are specified both as a flag and in the configuration file: {', '.join(both)}"
    return ""


def _flags(arguments: Sequence[str]) -> Iterator[str]:
    for word in arguments:
        if word.startswith("--"):
            yield word[2:].partition("=")[0]
        elif word.startswith("-") and word[1:2] in _SHORT:
            yield _SHORT[word[1]]


def _at_start(text: str, reality: Reality) -> Iterator[str]:
    """What `--validate` accepts and a start refuses (FACTS 65)."""
    for mirror in daemon_json.registry_mirrors(text):
        if words := _mirror(mirror, takes_path=reality.takes_proxies is not False):
            yield f"invalid mirror: {words}"
    runtime = json_splice.value_at(text, _DEFAULT_RUNTIME)
    if isinstance(runtime, str) and not _is_runtime(runtime, json_splice.value_at(text, _RUNTIMES), reality.arguments):
        yield f"specified default runtime '{escaped(runtime)}' does not exist"


def _mirror(url: str, *, takes_path: bool) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return f'"{redacted(url)}" is not a valid URI'
    shown = escaped(redacted(url) if "@" in url else url)
    if parts.scheme not in ("http", "https"):
        return f'unsupported scheme "{escaped(parts.scheme)}" in "{shown}"'
    if parts.query or parts.fragment or (not takes_path and parts.path not in ("", "/")):
        what = "query or fragment" if takes_path else "path, query, or fragment"
        return f'{what} at end of the URI "{shown}"'
    if parts.username is not None:
        return f'username/password not allowed in URI "{shown}"'
    return ""


def _is_runtime(name: str, known: Any, arguments: Sequence[str]) -> bool:
    is_shim = not name or "." in name or "/" in name  # containerd finds it by its name
    is_in_file = known is not MISSING and isinstance(known, dict) and name in known
    return is_shim or name == "runc" or is_in_file or any(name in word for word in arguments)
