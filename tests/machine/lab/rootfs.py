"""Debian trees to boot from, one per suite. Not known here: the product."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .cache import digest, kept
from .ground import ALONE, output

SYSTEM = ("systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "procps", "iproute2", "ca-certificates")
DOCKER = ("docker.io", "containerd", "runc", "iptables")
FOR_THE_AGENT = ("python3", "python3-venv")
FOR_THE_TESTS = ("curl", "busybox-static", "tinyproxy-bin", "acl", "attr")
PACKAGES = (*SYSTEM, *DOCKER, *FOR_THE_AGENT, *FOR_THE_TESTS)
ROOTLESS = ("rootlesskit", "slirp4netns", "uidmap")

# A tree that a power cut left half done is made again: no need to wait for the disk. Nobody reads in a box.
UNREAD = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
DPKG = ("force-unsafe-io", *(f"path-exclude={path}" for path in UNREAD))
# The lists of sid are valid for a week, and a mirror may stand still for longer.
APT = ('Acquire::Check-Valid-Until "false"',)


@dataclass(frozen=True)
class Suite:
    name: str
    python: str
    packages: tuple[str, ...]


NEWER_DOCKER = ("docker-cli", "docker-buildx")
# What the product's .deb depends on.
DEPENDS = tuple(f"python3-{name}" for name in ("h11", "msgspec", "netifaces", "sdnotify", "structlog", "watchdog"))
# Without it systemd cannot load BPF, and SocketBindDeny= counts for nothing; every installed system has it.
BPF = ("libelf1t64",)
TRIXIE = Suite("trixie", "3.13", (*PACKAGES, *NEWER_DOCKER, *ROOTLESS, *DEPENDS, *BPF))
BOOKWORM = Suite("bookworm", "3.11", (*PACKAGES, *ROOTLESS))
# The systemd, Docker and Python to come: for tests that are marked so.
SID = Suite("sid", "3.14", (*PACKAGES, "docker-cli"))
SUITES = {suite.name: suite for suite in (TRIXIE, BOOKWORM, SID)}


def rootfs(suite: Suite) -> Path:
    """The suite's tree, from the cache or by mmdebstrap (a minute). Never boot from it: put an overlay on it."""

    def make(folder: Path) -> None:
        include = f"--include={','.join(suite.packages)}"
        options = [f"--dpkgopt={option}" for option in DPKG] + [f"--aptopt={option}" for option in APT]
        mmdebstrap = ["mmdebstrap", "--mode=root", "--variant=minbase", include, *options]
        output([*ALONE, *mmdebstrap, suite.name, str(folder / "tree"), mirror()])

    return kept(f"rootfs-{suite.name}", digest(*sorted(suite.packages), *DPKG), make) / "tree"


def all_made() -> None:
    """The trees of all suites, side by side if they are yet to be made."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(rootfs, SUITES.values()))


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
    raise RuntimeError("/etc/apt: no source of Debian packages is named there; mmdebstrap needs one")


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
    names = {*SUITES, "forky", "stable", "testing", "unstable"}
    return "main" in components and bool(names & set(suites))


def _resolved(uri: str) -> str:
    """The first mirror of a `mirror+file:` list, as cloud images have it; any other URI as it is."""
    prefix = "mirror+file:"
    return Path(uri.removeprefix(prefix)).read_text().split()[0] if uri.startswith(prefix) else uri
