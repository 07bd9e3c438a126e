"""The proxy of a shell, by which the `docker` command itself fetches the tokens for a build (FACTS 241).

Pure. Only `direct` and proxies of the policy are tried in its place, and no password is sent: what somebody's shell
says must not decide whom root speaks to. Not known here: whose shell it is (`cli/caller.py`), and how that was tried
(`look.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.probe.no_proxy import excludes
from agent.probe.probe import proxy_for
from agent.targets import environment
from agent.values.policy import DIRECT, RegistryUrl, Upstream
from agent.values.settings import ProxyUrl
from agent.values.verdict import Verdict

_LEAVES_IT: Final = "BUILDKIT_NO_CLIENT_TOKEN"
_TRUE: Final = frozenset({"1", "t", "T", "true", "True", "TRUE"})  # Go's strconv.ParseBool


class ShellsWay(msgspec.Struct, frozen=True, kw_only=True):
    """How a token server is reached by the proxy of the shell, which Docker reaches by its own."""

    tokens: str  # the host, with its port, if it is not 443
    proxy: ProxyUrl | None  # None: the shell has none for it
    docker: str  # the upstream that Docker runs with
    verdict: Verdict


def asks_itself(shell: Mapping[str, str], *, has_buildx: bool, is_before_23: bool) -> bool:
    """Whether `docker build` fetches tokens itself, there. `has_buildx`: the plugin, which 23 and later need.

    What a person has installed below their home, and `features` of daemon.json, which 20.10 goes by, is not known here.
    """
    if shell.get(_LEAVES_IT) in _TRUE:
        return False
    if asked := shell.get("DOCKER_BUILDKIT"):
        return asked in _TRUE
    return has_buildx and not is_before_23


def way(
    shell: Mapping[str, str],
    tokens: RegistryUrl,
    *,
    docker: Upstream,
    excluded: Sequence[str],
    others: Iterable[Upstream],
) -> Upstream | None:
    """What to try in place of the shell's proxy. None: nothing, for it is Docker's, or nobody's that the policy knows.

    `excluded`: the no_proxy of Docker, which runs with the upstream `docker`.
    """
    said = environment.texts(shell).meaning()
    mine = said.https if tokens.is_https else said.http
    by_docker = proxy_for(docker, tokens, excluded)
    if mine is None or excludes(said.no_proxy, tokens.host, tokens.port):
        return DIRECT if by_docker is not None else None
    if not isinstance(mine, ProxyUrl) or mine.credentials is not None:  # what Go makes of it is not known, or a secret
        return None
    for upstream in (docker, *others):
        if _is_there(upstream, tokens, mine):
            is_the_same = upstream == docker and by_docker is not None and by_docker.credentials is None
            return None if is_the_same else _without_password(upstream)
    return None


def _without_password(upstream: Upstream) -> Upstream:
    return msgspec.structs.replace(upstream, username="", password=None, password_file="", password_credential="")


def _is_there(upstream: Upstream, tokens: RegistryUrl, mine: ProxyUrl) -> bool:
    url = upstream.https if tokens.is_https else upstream.http
    return url is not None and url.as_dockerd_sees_it() == mine.as_dockerd_sees_it()


def judge(ways: Iterable[ShellsWay]) -> Iterator[Finding]:
    for one in ways:
        if one.verdict.is_ok:
            continue
        leads_not = "which has none" if one.proxy is None else f"{one.proxy}, which does not reach it"
        evidence = f" ({one.verdict.evidence})" if one.verdict.evidence else ""
        yield Finding(
            code=Sign.SHELL_PROXY,
            is_broken=True,
            where=one.tokens,
            what="`docker build` itself asks there for tokens, through the proxy of your shell, "
            f"{leads_not}: {one.verdict.outcome.value}{evidence}",
            why=f'pulls work, through {one.docker}; builds fail with "failed to fetch anonymous token"',
            command=f"Run in that shell, and add to ~/.profile to keep it: export {_LEAVES_IT}=1",
        )
