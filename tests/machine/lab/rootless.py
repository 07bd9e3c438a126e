"""A user's own Docker: rootless, under the user's own systemd, beside the system's.

Set up as a person does it, by the tool that comes with Docker. dockerd is a process of the user's, in namespaces of its
own; a program of the user's (slirp4netns) carries its packets to the laptop's network.
"""

import contextlib
import socket
import struct
from pathlib import Path

from tests.waiting import until

from .box import Box, Ran
from .docker import Docker

_CONTRIB = "/usr/share/docker.io/contrib"  # where Debian has the tool, and what it starts dockerd by
# On a laptop udev opens it to everybody.
_TUN = "z /dev/net/tun 0666 - - -\n"
# The tool looks for `docker` beside itself, where Debian has none, and asks for ip_tables in a file that no box has.
# Linger by its mark: logind sets none in a box.
_FIRST = f"""
ln -sf /usr/bin/docker {_CONTRIB}/docker
modules=/lib/modules/$(uname -r); mkdir -p "$modules"; echo kernel/ip_tables.ko >"$modules/modules.builtin"
systemd-tmpfiles --create /etc/tmpfiles.d/tun.conf
mkdir -p /var/lib/systemd/linger; touch "/var/lib/systemd/linger/$1"
systemctl start "user@$(id -u "$1").service"
"""


class RootlessDocker(Docker):
    """Of one user. The same nouns as the system's; what they ask is asked as the user."""

    def __init__(self, box: Box, busybox: Path, user: str) -> None:
        """Installed, up, and started at each boot."""
        super().__init__(box, busybox)
        self.owner = user
        self.uid = int(box.run("id", "--user", user).stdout)
        self.runtime = f"/run/user/{self.uid}"
        self.socket = f"{self.runtime}/docker.sock"
        self.drop_ins = f"/home/{user}/.config/systemd/user/docker.service.d"
        self.daemon_json = f"/home/{user}/.config/docker/daemon.json"
        box.put("/etc/tmpfiles.d/tun.conf", _TUN)
        box.run("sh", "-euc", _FIRST, "sh", user)
        # It gives dockerd 3 s to come up, and goes on from where it was when it is called again.
        until(90, self._is_installed, f"{user}'s Docker is installed", every=1)

    @property
    def group(self) -> str:
        return f"user.slice/user-{self.uid}.slice/user@{self.uid}.service/app.slice/{self.service}"

    def _is_installed(self) -> Ran | None:
        tool = ("sh", "-c", f"PATH={_CONTRIB}:$PATH dockerd-rootless-setuptool.sh install --force")
        ran = self.run(*tool, check=False, timeout=120)
        return ran if ran.ok else None

    def run(self, *argv: str, check: bool = True, timeout: float = 60) -> Ran:
        """As the user, who is logged in, and whose `docker` is told to speak to this engine."""
        there = ("env", f"XDG_RUNTIME_DIR={self.runtime}", f"DOCKER_HOST=unix://{self.socket}")
        return self._box.run(*there, *argv, user=self.owner, check=check, timeout=timeout)

    def systemctl(self, *argv: str, check: bool = True) -> Ran:
        return self.run("systemctl", "--user", *argv, check=check)

    def cli(self, *argv: str, check: bool = True, timeout: float = 60) -> Ran:
        return self.run("docker", *argv, check=check, timeout=timeout)

    def pid(self) -> int:
        """dockerd's own, who listens on the socket: the unit's main process is another. 0: nobody does."""
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), socket.socket(socket.AF_UNIX) as client:
            client.connect(f"/proc/{self._box.pid}/root{self.socket}")
            here, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            # By its number in the box.
            status = Path(f"/proc/{here}/status").read_text().splitlines()
            return next(int(line.split()[-1]) for line in status if line.startswith("NSpid:"))
        return 0

    def restart(self) -> None:
        """By hand, and without the start limit counting it; it has no socket unit. With 20.10 systemd does not wait."""
        self.systemctl("reset-failed", "docker.service")
        self.systemctl("restart", "docker.service")
        until(60, self.reports, f"{self.owner}'s dockerd answers")

    # Where it is

    @property
    def is_in_a_network_of_its_own(self) -> bool:
        return self._network(self.pid()) != self._network(1)

    def _network(self, pid: int) -> str:
        """The namespace, as the kernel names it."""
        return str(Path(f"/proc/{self._box.pid}/root/proc/{pid}/ns/net").readlink())

    def inside(self, *argv: str) -> Ran:
        """A command in dockerd's own network, as the user may enter it. One that fails is an answer, not an error."""
        enter = ("nsenter", "--user", "--net", "--preserve-credentials", "--target", str(self.pid()), "--")
        return self.run(*enter, *argv, check=False)

    def detach(self) -> None:
        """From now on dockerd runs in the laptop's network, and only its containers do not: as it is after Docker 28.

        This one can do no more there than pull, for it may change nothing of that network. Needs rootlesskit 2.
        """
        # With a folder of its own: what is kept of a bridge stops a dockerd that has none, and the other way round.
        flags = f"--bridge=none --iptables=false --data-root=/home/{self.owner}/.local/share/docker-detached"
        self.drop_in(
            "[Service]\nEnvironment=DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--detach-netns\n"
            f"ExecStart=\nExecStart={_CONTRIB}/dockerd-rootless.sh {flags}\n",
            "40-detached.conf",
        )
