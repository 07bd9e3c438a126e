"""Where PAC scripts come from and who evaluates them, on this host.

Not known here: when they are asked (`pac.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agent.one_pass.pac_units import PacUnits, of_a_command, of_the_agent
from agent.probe.dial import Ground
from agent.probe.pac import ask, is_not_started
from agent.probe.pac_fetch import Fetching, fetch, fetch_first, wpad
from agent.probe.tls import Trust
from agent.system.files import identity_of, is_there
from agent.system.systemd import Systemd
from agent.system.wpad_by_dhcp import wpad_by_dhcp
from agent.values.errors import AgentError
from agent.values.pac import PacAnswer, PacFault, PacQuestion, PacScript
from agent.values.paths import Paths
from agent.values.policy import PacUrl, Policy
from agent.values.secret import escaped
from agent.values.verdict import Outcome


def beside_the_policy(pac: PacUrl, paths: Paths) -> Path | None:
    """A PAC file in the policy's folder, which can be watched like the policy.

    A file elsewhere, or behind a link, may be on a mount that hangs, and would block anything that accesses it.
    """
    file = paths.below(pac.path)
    is_here = bool(pac.path) and file.parent == paths.policy.parent
    return file if is_here and not os.path.islink(file) else None  # noqa: PTH114 - it never raises


class HostPacs:
    """Those that are asked for one policy."""

    def __init__(self, paths: Paths, policy: Policy, ground: Ground, agents_systemd: Systemd | None = None) -> None:
        """`ground`: this host's, where dockerd may not be. `agents_systemd`: the running agent's; None: a command."""
        ca_file, timeout_s = policy.probe.ca_file, float(policy.probe.timeout)
        trust = Trust(str(paths.below(ca_file)) if ca_file else "", paths.docker_certificates)
        self._fetching = Fetching(trust, timeout_s, ground, paths.below)
        self._paths = paths
        self._socket = paths.pac_socket
        self._units = PacUnits(agents_systemd) if agents_systemd is not None and paths.is_the_systems else None
        self._evaluator = of_the_agent(paths, agents_systemd) if self._units is not None else of_a_command(paths)

    async def fetch(
        self, pac: str, earlier: PacScript | None, search: Sequence[str], *, is_the_policys: bool = True
    ) -> PacScript | PacFault:
        """`is_the_policys`: root's word; what only this host can reach is not asked for what a user names."""
        if pac == PacUrl.AUTO:
            return await fetch_first(wpad(await wpad_by_dhcp(self._paths), search), earlier, self._fetching)
        return await fetch(pac, earlier, self._fetching, is_the_policys=is_the_policys)

    def mark(self, pac: PacUrl) -> object:
        file = beside_the_policy(pac, self._paths)
        return identity_of(file) if file is not None else None

    async def ask(
        self, script: PacScript, my_ip: str, questions: Sequence[PacQuestion]
    ) -> Sequence[PacAnswer | PacFault]:
        if self._units is None or is_there(self._socket):
            answers = await self._asked(script, my_ip, questions)
            # A socket whose unit was stopped or masked stays as a file that nobody listens at.
            if self._units is None or not is_not_started(answers):
                return answers
        try:
            await self._units.bring_up()
        except AgentError as error:
            return [PacFault(Outcome.ERROR, escaped(f"evaluating the PAC file: {error}"))] * len(questions)
        return await self._asked(script, my_ip, questions)

    async def _asked(
        self, script: PacScript, my_ip: str, questions: Sequence[PacQuestion]
    ) -> Sequence[PacAnswer | PacFault]:
        return await ask(self._evaluator, script, my_ip, questions, timeout_s=self._fetching.timeout_s)

    async def leave(self) -> None:
        if self._units is not None and is_there(self._socket):
            await self._units.bring_down()
