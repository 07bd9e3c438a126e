"""The proxy of one container, of one build, of a Compose service or of a shell: lines to be pasted.

Pure. Programs read two spellings of each name: curl takes `http_proxy` in small letters only, others the large ones, so
both are written. A build needs no ARG for them, and its history does not keep them (FACTS 190).

A name without a value is written, too, with nothing behind it: the client adds what config.json says of every name
that is not given on the command line (FACTS 190), so that an upstream of SOCKS alone, or direct, would get its proxies.
Not known here: for which upstream, and where a container reaches it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from agent.targets.shells import Variable, quoted
from agent.values.settings import Proxy, Settings

NAMES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")

# What a person puts in: Docker takes neither, so that a line pasted as it is does nothing.
IMAGE: Final = "IMAGE"
SERVICE: Final = "SERVICE"


def variables(wanted: Settings) -> tuple[Variable, ...]:
    """The eight names and their values, with user and password; '': it has none."""
    values = (_url(wanted.http), _url(wanted.https), wanted.no_proxy_text, _url(wanted.all))
    return tuple(
        (spelled, value)
        for name, value in zip(NAMES, values, strict=True)
        for spelled in (name, name.lower())
    )  # fmt: skip


def run(found: Iterable[Variable]) -> str:
    """For one container."""
    return " ".join(("docker run", *_options("--env", found), IMAGE))


def build(found: Iterable[Variable]) -> str:
    """For one build."""
    return " ".join(("docker build", *_options("--build-arg", found), "."))


def compose(found: Sequence[Variable]) -> str:
    """For one service of a Compose file, and its build."""
    lines = ["services:", f"  {SERVICE}:", "    build:", "      args:"]
    lines += [f"        {name}: {_in_compose(value)}" for name, value in found]
    lines += ["    environment:", *(f"      {name}: {_in_compose(value)}" for name, value in found)]
    return "".join(f"{line}\n" for line in lines)


def _options(option: str, found: Iterable[Variable]) -> list[str]:
    return [f"{option} {name}={quoted(value) if value else ''}" for name, value in found]


def _in_compose(value: str) -> str:
    """A text in JSON is one in YAML; `$` begins a variable there, which is one of the shell that runs compose."""
    return json.dumps(value.replace("$", "$$"), ensure_ascii=False)  # half a character is nothing to YAML


def _url(value: Proxy | None) -> str:
    return "" if value is None else value.reveal()
