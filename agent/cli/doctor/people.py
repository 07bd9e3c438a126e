"""Reads people's config.json for `entries.py` and `logins.py`, each as its user; the pass that was made says whose
there are. What they name is looked up as that user, too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Final

from agent.cli.doctor.entries import Client, entries_of
from agent.cli.doctor.logins import Login, registries_of
from agent.clients.clients import ClientFile
from agent.clients.homes import Homes
from agent.clients.users import Account
from agent.decide.clients import entries_for
from agent.probe.private import is_private
from agent.system.programs import run
from agent.values.errors import AgentError
from agent.values.listening import is_name
from agent.values.machine_text import lines, words
from agent.values.policy import Policy, RegistryUrl, Scope

_LOOK_UP_S: Final = 5.0


async def told_by_people(
    policy: Policy, homes: Homes, files: Iterable[ClientFile], *, is_direct: bool
) -> tuple[Client, ...]:
    """`is_direct`: no proxy is kept there, so none reaches another engine."""
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
        registries=registries_of(found.text) if found is not None else (),
        has_other_engine=has_other,
        reaches_it=not is_direct and not file.is_local and policy.clients.scope is Scope.DEFAULT,
    )


async def private_registries(
    clients: Iterable[Client],
    files: Iterable[ClientFile],
    is_asked_for: Callable[[RegistryUrl], bool],
    upstream: str,
) -> tuple[Login, ...]:
    """Those that have private addresses here. `is_asked_for`: whether Docker asks the proxy for it."""
    accounts = {file.path: file.account for file in files}
    asked = [(client, url) for client in clients for url in client.registries if is_asked_for(url)]
    known = await asyncio.gather(*(addresses_for(accounts[client.path], url.host) for client, url in asked))
    found: dict[str, Login] = {}
    for (client, url), addresses in zip(asked, known, strict=True):
        if addresses and all(map(is_private, addresses)):
            before = found[url.host].whose if url.host in found else ()
            whose = tuple(dict.fromkeys((*before, client.whose)))
            found[url.host] = Login(host=url.host, address=addresses[0], whose=whose, upstream=upstream)
    return tuple(found.values())


async def addresses_for(account: Account, host: str) -> tuple[str, ...]:
    """As the resolver tells that user; () if there are none, or none is known."""
    if not is_name(host):
        return (host,)
    is_another = os.geteuid() == 0 and account.uid != 0  # only root can become one
    user = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--no-new-privs", "--")
    as_user = user if is_another else ()
    try:
        done = await run((*as_user, "getent", "--", "ahosts", host), _LOOK_UP_S, is_anothers=is_another)
    except (OSError, TimeoutError):
        return ()
    rows = [words(line) for line in lines(done.out.decode(errors="replace"))]
    return tuple(dict.fromkeys(row[0] for row in rows if row))
