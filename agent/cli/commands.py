"""The commands: what each is for, whether it needs root, and an example or two.

Help, man page and completions are made from this table and from `options.py`, so nothing here imports what a command
needs to run. A test runs every example that can be run below a root of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Example(NamedTuple):
    """A command line without `docker-proxy-agent`, and what it does."""

    words: str
    does: str


class Command(NamedTuple):
    """One command as its help describes it."""

    text: str  # one line among the others, at 80 columns
    examples: tuple[Example, ...]
    needs_root: bool = True
    more: str = ""  # of its own page


GROUPS: Final[Mapping[str, Mapping[str, Command]]] = {
    "set up": {
        "init": Command(
            "write a first policy, or add the place where the machine is now",
            (
                Example("init", "shows a policy for this system, and asks before it writes it"),
                Example("init --proxy http://proxy:3128", "the same, with a proxy that init cannot find"),
                Example("init --add-network office", "adds the place where the machine is now, as office"),
            ),
            more="The policy is made from what this system has: Docker's files, people's clients, its environment.",
        ),
        "check": Command(
            "check the policy and list everything that is wrong with it",
            (
                Example("check", "checks the policy that is in use"),
                Example("check --offline --policy config.toml", "checks a policy for another machine"),
            ),
            needs_root=False,
        ),
        "install": Command(
            "set up and start the service; run it again to upgrade",
            (Example("install", "sets up the service"),),
        ),
        "uninstall": Command(
            "remove the service and restore every file",
            (
                Example("uninstall", "removes the service; policy and audit log stay"),
                Example("uninstall --purge", "removes these, too"),
            ),
        ),
        "restore": Command(
            "restore every file as it was before the agent; the service stays",
            (Example("restore", "restores every file; stop the service first"),),
        ),
        "demo": Command(
            "show a roaming laptop on loopback; your system is not changed",
            (Example("demo", "takes a few seconds"),),
            needs_root=False,
        ),
    },
    "look": {
        "status": Command(
            "show what the running agent sees, chose, did and waits for",
            (
                Example("status", "shows it once"),
                Example("status --watch", "keeps it up to date until Ctrl-C"),
                Example("status --short", "one line, for a prompt or a bar"),
                Example("status --format prometheus", "metrics, for the textfile collector of node_exporter"),
            ),
            needs_root=False,
        ),
        "plan": Command(
            "show what a pass would do and why, as a diff; change nothing",
            (
                Example("plan", "shows what a pass would do now"),
                Example("plan -v", "also says why the other networks do not match"),
            ),
        ),
        "probe": Command(
            "test every upstream now and show each result with its timings",
            (Example("probe", "tests every upstream of the policy"),),
            needs_root=False,
        ),
        "pac": Command(
            "show what a PAC file says, and how each registry is reached",
            (
                Example("pac", "asks the PAC files of the policy for this network"),
                Example("pac --pac wpad.dat ghcr.io", "asks this file about ghcr.io; no policy is needed"),
            ),
            needs_root=False,
        ),
        "doctor": Command(
            "find what makes pulls fail, and say how to fix it",
            (
                Example("doctor", "lists what is broken first"),
                Example("doctor --bundle report.json", "also writes a file for the helpdesk"),
            ),
            more="It changes nothing, and never starts a Docker that is stopped.",
        ),
        "stale": Command(
            "list containers, builders and images created with other settings",
            (Example("stale", "lists them, and changes nothing"),),
            more="Each comes with the command that recreates it.",
        ),
    },
    "steer": {
        "apply": Command(
            "run one pass now, and restart Docker if needed",
            (
                Example("apply", "runs one pass"),
                Example("apply --now", "does not wait for containers or for the next turn"),
            ),
            more="A pass finds an upstream that works, and writes it wherever Docker and its clients read it.",
        ),
        "pin": Command(
            "use one upstream in every network, whether it works or not",
            (
                Example("pin corp-proxy", "uses corp-proxy until unpin"),
                Example("pin direct 2h", "uses no proxy for two hours"),
            ),
        ),
        "unpin": Command(
            "let the agent choose again",
            (Example("unpin", "ends a pin"),),
        ),
        "pause": Command(
            "write nothing and restart nothing until resume",
            (
                Example("pause", "until resume"),
                Example("pause 2h", "for two hours"),
            ),
        ),
        "resume": Command(
            "end a pause",
            (Example("resume", "ends a pause"),),
        ),
        "reload": Command(
            "read the policy and the passwords again, and retry what failed",
            (Example("reload", "also tries a refused password again"),),
        ),
    },
    "for others": {
        "env": Command(
            "print the settings for a container, a shell or another system",
            (
                Example("env", "for one docker run, docker build or Compose service"),
                Example("env --shell sh", "for a shell to evaluate"),
                Example("env --system docker-desktop", "the settings that Docker Desktop needs"),
            ),
            needs_root=False,
        ),
    },
    "look back": {
        "audit": Command(
            "show the audit log, or answer a question from it",
            (
                Example("audit --since yesterday", "every record since yesterday"),
                Example("audit at 14:00", "what was true at that time"),
                Example("audit report -o report.html", "a page to keep or show"),
            ),
            more="The group adm may read it, too.",
        ),
    },
    "started by systemd": {
        "run": Command(
            "run the service; the systemd unit starts it",
            (Example("run", "runs until Ctrl-C; without a policy it changes nothing"),),
        ),
        "relay": Command(
            "carry connections for Docker; its systemd unit starts it",
            (Example("relay --listen 127.0.0.1:3130", "accepts connections on this port until Ctrl-C"),),
            needs_root=False,
        ),
    },
}
COMMANDS: Final[Mapping[str, Command]] = {
    name: command for commands in GROUPS.values() for name, command in commands.items()
}
