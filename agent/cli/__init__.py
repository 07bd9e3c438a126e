"""The commands: each file reads its arguments, asks one thing and prints it.

Data goes to stdout, everything else to stderr. A new command is a file here with `run`, and a line in
GROUPS (`commands.py`); its options are a function in `options.py`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

from agent.cli import printing
from agent.cli.misused import Misused
from agent.cli.printing import complain, print_json
from agent.values.errors import AgentError, PolicyRefused

_OWN_SERVICE: Final = ["run", "--user"]
_RELAY: Final = ["relay"]
_EVALUATOR: Final = ["pac", "--evaluator"]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = sys.argv[1:] if argv is None else argv
    printing.ready(_spelling(words))
    try:
        return _run(words)
    except Misused as misused:
        _complain(words, misused.problem)
        raise
    except PolicyRefused as error:
        _complain(words, *error.lines)
        return 1
    except AgentError as error:
        _complain(words, str(error))
        return 1
    except BrokenPipeError:  # as in `… | head`
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last boundary: one line, as for every other error
        # Imported only now: it imports structlog, which `status` and `check` do without.
        described = importlib.import_module("agent.audit.unexpected").unexpected
        _complain(words, str(described("docker-proxy-agent", error)))
        return 1


def _spelling(words: list[str]) -> printing.Spelling | None:
    if words == _OWN_SERVICE:
        return None
    if "--user" in (options := _options(words)):
        name = "for_a_user"
    elif (os.geteuid() == 0 and "SUDO_USER" not in os.environ) or "--root" in options:
        return None  # who is root anyway types no sudo
    else:
        name = "for_sudo"
    spelling: printing.Spelling = getattr(importlib.import_module("agent.cli.spelling"), name)
    return spelling


def _options(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _complain(words: list[str], *problems: str) -> None:
    """On stderr, and as JSON if that was asked for: on one line, because other lines may have been printed before."""
    complain(*problems)
    if "--json" in _options(words):  # argparse may be what failed
        print_json({"problems": problems}, indent=None)


def _run(words: list[str]) -> int:
    # The units start the service like this: argparse would stay in its memory for good.
    if words == ["run"]:
        status: int = importlib.import_module("agent.cli.run").serve()
    elif words == _OWN_SERVICE:
        paths = importlib.import_module("agent.cli.instance").of_the_caller(asks_systemd=False)
        status = importlib.import_module("agent.cli.run").serve(paths)
    elif words == _EVALUATOR:
        importlib.import_module("agent.probe.pac_program").become_it()
    elif words == _RELAY:
        status = importlib.import_module("agent.cli.relay").serve()
    else:
        status = importlib.import_module("agent.cli.words").obey(words)
    printing.flush()
    return status
