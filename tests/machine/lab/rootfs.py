"""Debian trees to boot from, one per suite. Not known here: the product."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cache import digest, kept

SYSTEM = ("systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "procps", "iproute2", "ca-certificates")
DOCKER = ("docker.io", "containerd", "runc", "iptables")
FOR_THE_AGENT = ("python3", "python3-venv")
FOR_THE_TESTS = ("curl", "busybox-static", "tinyproxy-bin", "acl", "attr")
PACKAGES = (*SYSTEM, *DOCKER, *FOR_THE_AGENT, *FOR_THE_TESTS)


@dataclass(frozen=True)
class Suite:
    name: str
    python: str
    packages: tuple[str, ...]


NEWER_DOCKER = ("docker-cli", "docker-buildx", "rootlesskit", "slirp4netns", "uidmap")
# What the product's .deb depends on.
DEPENDS = tuple(f"python3-{name}" for name in ("h11", "msgspec", "netifaces", "sdnotify", "structlog", "watchdog"))
TRIXIE = Suite("trixie", "3.13", (*PACKAGES, *NEWER_DOCKER, *DEPENDS))
BOOKWORM = Suite("bookworm", "3.11", PACKAGES)
SUITES = {suite.name: suite for suite in (TRIXIE, BOOKWORM)}


def rootfs(suite: Suite) -> Path:
    """The suite's tree, from the cache or by debootstrap (about a minute). Never boot from it: put an overlay on it."""

    def make(tree: Path) -> None:
        debootstrap = ["debootstrap", "--variant=minbase", f"--include={','.join(suite.packages)}"]
        # In a mount and a process namespace of its own, so that nothing stays mounted or runs on if it is broken off.
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        done = subprocess.run(
            [*alone, *debootstrap, suite.name, str(tree), mirror()],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise RuntimeError(f"debootstrap of {suite.name} ended with {done.returncode}:\n{last}")
        for deb in (tree / "var/cache/apt/archives").glob("*.deb"):
            deb.unlink()

    return kept(f"rootfs-{suite.name}", digest(*sorted(suite.packages)), make)


def mirror() -> str:
    """The Debian mirror that this machine's own apt uses."""
    apt = Path("/etc/apt")
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        for stanza in file.read_text().split("\n\n"):
            uri = _deb822_uri(stanza)
            if uri:
                return uri
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        for line in file.read_text().splitlines() if file.exists() else []:
            words = [word for word in line.split("#")[0].split() if not word.startswith("[") and "=" not in word]
            if len(words) > 3 and words[0] == "deb" and _is_debian([words[2]], words[3:]):
                return _resolved(words[1])
    raise RuntimeError("/etc/apt: no source of Debian packages is named there; debootstrap needs one")


def _deb822_uri(stanza: str) -> str:
    fields = {}
    for line in stanza.splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith(("#", " ")):
            fields[key.lower()] = value.split()
    is_source = "deb" in fields.get("types", []) and _is_debian(fields.get("suites", []), fields.get("components", []))
    uris = fields.get("uris", [])
    return _resolved(uris[0]) if is_source and uris else ""


def _is_debian(suites: list[str], components: list[str]) -> bool:
    names = {*SUITES, "forky", "sid", "stable", "testing", "unstable"}
    return "main" in components and bool(names & set(suites))


def _resolved(uri: str) -> str:
    """The first mirror of a `mirror+file:` list, as cloud images have it; any other URI as it is."""
    prefix = "mirror+file:"
    return Path(uri.removeprefix(prefix)).read_text().split()[0] if uri.startswith(prefix) else uri
