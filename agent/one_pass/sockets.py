"""The listeners on this host, from the kernel; and the names of users by uid.

The sockets are those of the agent's own network namespace, whatever the root. What follows is decided in
`decide/bridge.py` and `probe/guard.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Protocol

from agent.clients.accounts import NamesUnknown
from agent.see import netlink
from agent.system.passwd import Login, logins
from agent.values.listening import Listener


class Accounts(Protocol):
    """Who has an account here."""

    def passwd(self) -> str: ...
    def login(self, name: str) -> Login | None: ...
    def login_of(self, uid: int) -> Login | None: ...


class LocalSockets:
    """The listeners of this host. Names may come over a network, so they are not looked up in the event loop."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def listeners(self, port: int, addresses: Iterable[str]) -> Sequence[Listener]:
        return netlink.listeners(port, addresses)

    def uid(self, name: str) -> int | None:
        """None: no such user. NamesUnknown: it cannot be told now."""
        found = next((login for login in self._logins() if login.name == name), None) or self._accounts.login(name)
        return found.uid if found else None

    def name(self, uid: int) -> str:
        """'' if the number has no name, or it cannot be told now."""
        found = next((login for login in self._logins() if login.uid == uid), None)
        with contextlib.suppress(NamesUnknown):
            found = found or self._accounts.login_of(uid)
        return found.name if found else ""

    def _logins(self) -> Sequence[Login]:
        return logins(self._accounts.passwd())
