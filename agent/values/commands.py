"""How what a person types is spelled, for remedies: another instance of the agent is spoken to with another word.

Pure. Not known here: which command helps with what.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Commands(msgspec.Struct, frozen=True):
    """The first words of commands. The defaults are the system's."""

    systemctl: str = "systemctl"
    journalctl: str = "journalctl"
    agent: str = "docker-proxy-agent"
    sudo: str = "sudo "  # with the space behind it; '' where none is needed


OF_THE_SYSTEM: Final = Commands()
OF_A_USER: Final = Commands("systemctl --user", "journalctl --user", "docker-proxy-agent --user", "")
