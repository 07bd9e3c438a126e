"""Who asked for something, as far as that is known. Pure."""

from __future__ import annotations

import enum

import msgspec


class Via(enum.Enum):
    """The way on which it came."""

    CONTROL = "control"  # a command asked the running agent, over control.sock
    COMMAND = "command"  # a command without an agent acted itself
    SIGNAL = "signal"  # SIGHUP, such as `systemctl reload`: the kernel does not say who sent it


class Asker(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person or a script. None: not known."""

    via: Via
    uid: int | None = None  # of the process that asked
    login_uid: int | None = None  # who logged in: it stays when sudo or su change the uid (pam_loginuid(8))
    claimed: str = ""  # SUDO_USER: whoever is root may set it to anything

    def __str__(self) -> str:
        if self.via is Via.SIGNAL:
            return "a signal"
        known = [f"{self.claimed} (claimed by sudo)"] if self.claimed else []
        if self.login_uid is not None:
            known.append(f"login uid {self.login_uid}")
        elif self.uid is not None:
            known.append(f"uid {self.uid}")
        return ", ".join(known) or "a person"
