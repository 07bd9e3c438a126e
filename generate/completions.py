"""Completions for bash, zsh and fish, made by shtab from the arguments of the commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import shtab

from agent.cli.words import tree

# Where each shell looks for the completion of a command, below a share folder.
PLACES: Final = {
    "bash": "bash-completion/completions/docker-proxy-agent",
    "zsh": "zsh/site-functions/_docker-proxy-agent",
    "fish": "fish/vendor_completions.d/docker-proxy-agent.fish",
}
_OF_A_METAVAR: Final = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
_UPSTREAMS: Final = "_docker_proxy_agent_upstreams"
# Read from the policy as text: as fast as a key is pressed, and as whoever presses it. Only what a name is made of gets
# through, because bash expands the words that it is given.
_NAMES: Final = r"""  find /etc/docker-proxy-agent -maxdepth 2 -name '*.toml' -exec sed -n \
    -e 's/^ *\[ *upstream\.\([A-Za-z0-9_-]*\) *\].*/\1/p' \
    -e 's/^ *\[ *upstream\."\([A-Za-z0-9._-]*\)" *\].*/\1/p' '{}' + 2>/dev/null
  echo direct"""
_PREAMBLES: Final = {
    "bash": f"""{_UPSTREAMS}_names() {{
{_NAMES}
}}
{_UPSTREAMS}() {{
  compgen -W "$({_UPSTREAMS}_names)" -- "$1"
}}
""",
    "zsh": f"""{_UPSTREAMS}() {{
  local -a names
  names=(${{(f)"$({_UPSTREAMS}_names)"}})
  compadd -- $names
}}
{_UPSTREAMS}_names() {{
{_NAMES}
}}
""",
    "fish": f"""function {_UPSTREAMS}
{_NAMES}
end
""",
}
_OF_UPSTREAMS: Final = {"bash": _UPSTREAMS, "zsh": _UPSTREAMS, "fish": f"({_UPSTREAMS})"}


def completion(shell: str) -> str:
    parser = tree()
    for one in _parsers(parser):
        for action in one._actions:
            known = _OF_UPSTREAMS if _is_upstream(action) else _OF_A_METAVAR.get(str(action.metavar))
            if known is not None:
                action.complete = known  # type: ignore[attr-defined] # shtab looks for it
    return shtab.complete(parser, shell, preamble=_PREAMBLES[shell])


def _is_upstream(action: argparse.Action) -> bool:
    """Of `pin`, and of the options of `env` and `audit` that name one."""
    return action.dest == "upstream"


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _parsers(one)


def main() -> None:
    share = Path(sys.argv[1])
    for shell, place in PLACES.items():
        file = share / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(completion(shell))


if __name__ == "__main__":
    main()
