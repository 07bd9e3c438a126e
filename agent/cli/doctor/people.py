"""Reads people's config.json for `entries.py`, each as its user; the pass that was made says whose there are."""

from __future__ import annotations

from collections.abc import Iterable

from agent.cli.doctor.entries import Client, entries_of
from agent.clients.clients import ClientFile
from agent.clients.homes import Homes
from agent.decide.clients import entries_for
from agent.values.errors import AgentError
from agent.values.policy import Policy, Scope


async def told_by_people(policy: Policy, files: Iterable[ClientFile], *, is_direct: bool) -> tuple[Client, ...]:
    """`is_direct`: no proxy is kept there, so none reaches another engine."""
    homes = Homes()
    return tuple([await _client(homes, policy, one, is_direct=is_direct) for one in files if not one.error])


async def _client(homes: Homes, policy: Policy, file: ClientFile, *, is_direct: bool) -> Client:
    here = entries_for(Scope.LOCAL, policy.docker.socket)
    try:
        found = await homes.read(file.account, file.account.config)
        has_other = await homes.has_other_engine(file.account, file.account.config, here)
    except AgentError:  # a pass says of a file that cannot be read
        return Client(path=file.path, whose=file.name)
    return Client(
        path=file.path,
        whose=file.name,
        kept=here,
        entries=entries_of(found.text) if found is not None else (),
        has_other_engine=has_other,
        reaches_it=not is_direct and not file.is_local and policy.clients.scope is Scope.DEFAULT,
    )
