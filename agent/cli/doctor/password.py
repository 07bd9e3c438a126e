"""A proxy that does not take user and password.

Pure. Not known here: how it was asked, nor the password.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

import msgspec

from agent.cli.doctor.finding import Finding, Sign
from agent.cli.doctor.told import BY_LAST_ORDERS


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream whose proxy wants another login."""

    upstream: str
    pac: str = ""  # the upstream whose PAC names it; '': none does
    untrusted: str = ""  # the host, where that PAC's password does not go
    username: str = ""
    file: str = ""  # that has the password; '': none, or systemd keeps it
    sends: bool = True  # whether the policy has a password for it
    is_in_use: bool = False  # Docker has these settings, or would get them here
    is_led_out: bool = False  # … but for the relay, whose last orders still lead out


def judge(refused: Iterable[Refused], policy: str) -> Iterator[Finding]:
    for one in refused:
        table = f"[upstream.{one.pac or one.upstream}]"
        proxy = one.upstream if one.pac else f"the proxy of {table}"
        yield Finding(
            code=Sign.LOGIN_REFUSED,
            is_broken=one.is_in_use and not one.is_led_out,
            where=one.file or policy,
            what=f"{proxy} refuses the user and password" if one.sends else f"{proxy} asks for a user and password",
            why=(BY_LAST_ORDERS if one.is_led_out else "pulls fail with error 407")
            + ("; the agent does not send that password again, as that might lock the account" if one.sends else ""),
            command=f"{_deed(one, table)}, then run: sudo docker-proxy-agent reload",
        )


def _deed(one: Refused, table: str) -> str:
    if one.untrusted:
        return f'If that is one of your proxies, add "{one.untrusted}" to trusted of {table}'
    if not one.sends:
        trusted = ", and the proxy to trusted there" if one.pac else ""
        return f"Add username and password_file to {table}{trusted}"
    if one.file:
        whose = f" of {one.username}" if one.username else ""
        return (
            f"Ask whoever runs the proxy for the password{whose}, and write only that into {one.file}, "
            f"one line, as it is: no quotes, no % encoding{_unseen(one.file)}"
        )
    return f"Fix username and password of {table}"


def _unseen(file: str) -> str:
    """How it is typed without a trace of it in the shell's history; '' where the path would have to be quoted."""
    if shlex.quote(file) != file:
        return ""
    return f""" (sudo sh -c 'IFS= read -r p && printf "%s\\n" "$p" >{file}' takes the line that you type next)"""
