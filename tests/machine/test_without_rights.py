"""Accounts that are in no group, and do with their homes, processes and sockets what they can, all at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .lab.laptop import Laptop
from .test_apply import office_policy
from .test_clients import config, people
from .test_roam import trixie
from .test_service import NAME, started

SECRET = "Zecret9"
STATUS = "/run/docker-proxy-agent/status.json"

# What each account makes of its own home, as itself. A name of its own for each: a file can be broken in one way only.
HOMES = {
    "surrogate": r"""printf '{"proxies":{"\\ud800":1}}' >.docker/config.json""",
    "bom": r"""printf '\357\273\277{"auths":{}}' >.docker/config.json""",
    "escape": r"""printf '{"proxies":{"x\\u001b[2K\\u001b]0;title\\u0007\\n  note   all is well\\u202e":1}}' >.docker/config.json""",
    "secret": rf"""printf '{{"proxies":{{"http://m:{SECRET}@proxy.example.net:3128":"default"}}}}' >.docker/config.json""",
    "excluded": rf"""printf '{{"proxies":{{"default":{{"httpProxy":"http://p:1","noProxy":"http://m:{SECRET}@p:1"}}}}}}' >.docker/config.json""",
    "slashes": r"""{ printf '{"proxies":{"default":{"noProxy":"'; yes :// | head -21000 | tr -d '\n'; printf '"}}}'; } >.docker/config.json""",
    "longname": r"""ln -s "$(head -c 300 /dev/zero | tr '\0' x)" .docker/config.json""",
    "circle": r"""ln -s config.json .docker/config.json""",
    "pipe": r"""mkfifo .docker/config.json""",
    "huge": r"""head -c 2000000 /dev/zero >.docker/config.json""",
    "folder": r"""mkdir .docker/config.json""",
    "proc": r"""rmdir .docker; ln -s /proc/self/fd .docker""",
    "shadow": r"""ln -s /etc/shadow .docker/config.json""",
    "roots": r"""rmdir .docker; ln -s /root/.docker .docker""",
}
# What they leave running, each with a pause that leaves the machine to others: a file that never rests, a lock on whatever can be opened, and helpers that are stopped.
BUSY = """
touching() { while sleep 0.05; do touch ~/.docker/config.json ~/.docker/x; rm -f ~/.docker/x; done; }
locking() { for file in /run/docker-proxy-agent/*; do flock --exclusive "$file" sleep 1000 & done; wait; }
touching & locking & wait
"""
# Every helper that comes is stopped at once, and never goes on.
STOPPING = "while sleep 0.02; do pkill -STOP -u stopping python3; done"


def mischief(laptop: Laptop) -> None:
    for name, script in HOMES.items():
        moves_in(laptop, f"m-{name}", f"mkdir .docker && {script}")
    for name, script in {"busy": BUSY, "stopping": STOPPING}.items():
        moves_in(laptop, name, "mkdir .docker && echo '{}' >.docker/config.json")
        laptop.run("systemd-run", "--quiet", f"--uid={name}", f"--unit={name}", "bash", "-c", script)


def moves_in(laptop: Laptop, name: str, script: str) -> None:
    laptop.run("useradd", "--create-home", "--shell", "/bin/bash", name)
    laptop.run("sh", "-euc", f"cd ~ && {script}", user=name)


def printed(laptop: Laptop) -> Iterator[str]:
    """Everything that somebody may read."""
    for words in (("status",), ("status", "--json"), ("plan",), ("plan", "--json"), ("audit",), ("apply",)):
        ran = laptop.agent(*words)
        yield ran.stdout + ran.stderr
    yield laptop.read(STATUS)
    yield json.dumps(laptop.audit.records(), ensure_ascii=False)
    yield laptop.run("journalctl", "--no-pager", "--output=cat", f"--unit={NAME}").stdout


def goes_through(laptop: Laptop, home: str, url: str) -> bool:
    # Where there is none it is made, a moment after Docker's half.
    return laptop.exists(f"{home}/.docker/config.json") and url in json.dumps(config(laptop, home))


def is_steady(laptop: Laptop) -> bool:
    return laptop.status().get("state") == "steady"


def has_failed(laptop: Laptop, name: str) -> bool:
    return (name, "failed") in {(target["name"], target["state"]) for target in laptop.status()["targets"]}


def moved(laptop: Laptop, name: str, https: str) -> None:
    laptop.plug(name)
    laptop.until(laptop.docker.reports, https=https, within=60)


@trixie
def test_what_accounts_without_rights_do_costs_nobody_else_anything(laptop: Laptop) -> None:
    people(laptop)
    office_policy(laptop)
    url = laptop.office.tinyproxy.url
    laptop.plug("home")
    started(laptop)
    laptop.until(is_steady, laptop, within=30)

    mischief(laptop)
    moved(laptop, "office", url)

    assert laptop.docker.pull().ok
    for home in ("/root", "/home/alice"):
        laptop.until(goes_through, laptop, home, url, within=30)
    assert laptop.run("systemctl", "show", "--value", "--property=NRestarts", NAME).stdout.strip() == "0"
    laptop.until(is_steady, laptop, within=30)
    for name in ("m-bom", "m-escape", "m-secret", "m-pipe", "m-huge", "m-folder", "m-longname", "m-circle"):
        laptop.until(has_failed, laptop, name, within=30)
    # On a machine that is at work a helper may be done before it is stopped.
    laptop.until(lambda: has_failed(laptop, "stopping") or goes_through(laptop, "/home/stopping", url), within=30)
    assert not any(has_failed(laptop, name) for name in ("root", "alice", "bob"))
    moved(laptop, "home", "")
    for text in printed(laptop):
        assert SECRET not in text
        assert not {"\x1b", "\x07", "\r", "\u202e", "\ud800"} & set(text)
    journal = laptop.run("journalctl", "--no-pager", "--output=cat", f"--unit={NAME}").stdout
    assert "Traceback" not in journal
    assert laptop.agent("audit", "verify").ok
    assert laptop.run("stat", "-c", "%a %U", "/etc/shadow").stdout.split()[1] == "root"
    # And it starts again beside all of it.
    laptop.run("systemctl", "restart", NAME, timeout=60)
    moved(laptop, "office", url)
