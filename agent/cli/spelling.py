"""How commands are spelled in whatever is printed: for a user's own instance, or with `sudo` for who needs it.

Remedies are worded where they are known, and for the system's instance; none of those places knows another one. So the
words are put right here, at the one place that all that is printed passes. Not known here: what a remedy is for.
"""

from __future__ import annotations

import re
from typing import Final

from agent.cli.commands import COMMANDS

_OF_THE_AGENT: Final = re.compile(rf"(?:\bsudo )?\bdocker-proxy-agent ({'|'.join(COMMANDS)})\b(?! --user)")
_OF_SYSTEMD: Final = re.compile(r"(?:\bsudo )?\b(systemctl|journalctl) (?:--user )?")


# Not in a usage, nor where it only says which command complains, nor for its help; and `audit schema` reads no log.
_NO_ORDER: Final = r"(?!(?: \w+)?:)(?!(?: \w+)? --help\b)(?!(?<=\baudit) schema\b)"
# The system's journal is closed to whoever is not in adm or systemd-journal, and Debian puts nobody there.
_NEEDS_ROOT: Final = re.compile(
    r"(?<!\bsudo )(?<!\busage: )(?<![\w./-])(?:"
    rf"docker-proxy-agent (?:{'|'.join(name for name, one in COMMANDS.items() if one.needs_root)})\b{_NO_ORDER}"
    r"|systemctl (?:daemon-reload|disable|edit|enable|reload|reset-failed|restart|start|stop|unmask)\b"
    r"|journalctl -u\b|rm -r /|userdel\b)(?! --user)"
)


def for_sudo(text: str) -> str:
    """The text as it is right for who is root by sudo alone."""
    return _NEEDS_ROOT.sub(r"sudo \g<0>", text)


def for_a_user(text: str) -> str:
    """The text as it is right for who has an instance of one's own."""
    return _OF_SYSTEMD.sub(r"\1 --user ", _OF_THE_AGENT.sub(r"docker-proxy-agent \1 --user", text))
