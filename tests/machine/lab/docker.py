"""What a test asks of the Docker in the box. Nothing here wakes a Docker that is stopped, unless it says so."""

import http.client
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import Seen, until

from .box import Box, Ran
from .images import root_tar
from .places import IMAGE

LOCAL_IMAGE = "lab/busybox:latest"


# For so long a no is believed while dockerd is the same process, which takes other proxies only when it starts
# (docs/facts.md 6): who waits asks again and again, and each time costs 22 ms of CPU, taken from what is waited for.
_NO_HOLDS_S = 1


class DockerDown(AssertionError):
    pass


@dataclass(frozen=True)
class _No:
    to: dict[str, str | None]
    seen: Seen
    processes: str
    at: float


@dataclass
class Container:
    docker: "Docker"
    name: str
    first_pid: int

    def pid(self) -> int:
        """0: it does not run."""
        return int(self.inspect()["State"]["Pid"])

    def is_running(self) -> bool:
        return bool(self.inspect()["State"]["Running"])

    def environment(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.inspect()["Config"]["Env"])

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = self.docker.api(f"/containers/{self.name}/json")
        return found


class Docker:
    """The system's. A user's own is the same elsewhere: `rootless.py`."""

    socket = "/run/docker.sock"
    service = "docker.service"
    drop_ins = "/etc/systemd/system/docker.service.d"
    owner = "root"

    def __init__(self, box: Box, busybox: Path) -> None:
        self._box, self._busybox, self._containers = box, busybox, 0
        self._no: _No | None = None

    @property
    def group(self) -> str:
        """Where its processes are."""
        return f"system.slice/{self.service}"

    def systemctl(self, *argv: str, check: bool = True) -> Ran:
        return self._box.run("systemctl", *argv, check=check)

    def cli(self, *argv: str, check: bool = True, timeout: float = 60) -> Ran:
        """The `docker` command, as whoever uses this engine calls it."""
        return self._box.run("docker", *argv, check=check, timeout=timeout)

    def is_active(self) -> bool:
        return self.show("ActiveState") in {"active", "reloading"}  # the agent has it read daemon.json anew

    def show(self, property_: str, unit: str = "") -> str:
        return self.systemctl("show", "--property", property_, "--value", unit or self.service).stdout.strip()

    def invocation_id(self) -> str:
        """Another one: it was restarted."""
        return self.show("InvocationID")

    def pid(self) -> int:
        return int(self.show("MainPID"))

    def environment(self) -> dict[str, str]:
        """The environment that dockerd runs with, passwords and all; {} if it does not run."""
        if not self.pid():
            return {}
        text = self._box.run("cat", f"/proc/{self.pid()}/environ", check=False).stdout  # it may have just ended
        return dict(line.split("=", 1) for line in text.split("\0") if line)

    def api(self, path: str) -> Any:
        """The answer to a GET on Docker's socket."""
        if not self.is_active():
            raise DockerDown(f"{self.service} is {self.show('ActiveState')}")
        return self.api_at_once(path)

    def api_at_once(self, path: str) -> Any:
        """The same without asking systemd first: for who measures a restart. It would wake a Docker that is stopped."""
        connection = _OverUnixSocket(f"/proc/{self._box.pid}/root{self.socket}")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise DockerDown(f"GET {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer.status} {body}")
        return body

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api("/info")
        return found

    def version(self) -> str:
        return str(self.api("/version")["Version"])

    def reports(self, http: str | None = None, https: str | None = None, no_proxy: str | None = None) -> Seen:
        """Whether /info has these values (as it shows them: xxxxx:xxxxx@ for a password); None: any."""
        asked = {"HttpProxy": http, "HttpsProxy": https, "NoProxy": no_proxy}
        processes, no = self._box.processes(self.group), self._no
        if no and processes and (no.to, no.processes) == (asked, processes) and time.monotonic() < no.at + _NO_HOLDS_S:
            return no.seen
        try:
            info = self.info()
        except DockerDown as down:
            return Seen(False, down)
        holds = all(wanted is None or info[key] == wanted for key, wanted in asked.items())
        seen = Seen(holds, {key: info[key] for key in asked})
        self._no = None if holds else _No(asked, seen, processes, time.monotonic())
        return seen

    def restart(self) -> None:
        """By hand, and without the start limit counting it."""
        self.systemctl("reset-failed", "docker.service", "docker.socket")
        self.systemctl("restart", "docker.service")

    def drop_in(self, text: str, name: str = "50-by-hand.conf") -> None:
        """A drop-in of docker.service, in force at once."""
        self._box.put(f"{self.drop_ins}/{name}", text, owner=self.owner)
        self.systemctl("daemon-reload")
        self.restart()

    def pull(self, image: str = IMAGE, timeout: float = 60) -> Ran:
        """Pull for real: an image that is there is removed first. A pull that fails is an answer, not an error."""
        self.cli("image", "rm", "--force", image, check=False)
        return self.cli("pull", image, check=False, timeout=timeout)

    def pulls(self, image: str = IMAGE) -> Seen:
        """For `until`: after a move dockerd asks the last place's DNS server for up to 5 s more (docs/facts.md 26)."""
        pulled = self.pull(image)
        return Seen(pulled.ok, pulled)

    def start_container(self, *options: str, command: str = "sleep 1000000", image: str = LOCAL_IMAGE) -> Container:
        """`docker run` in the background, by default of an image that needs no registry."""
        if image == LOCAL_IMAGE:
            self.import_image()
        self._containers += 1
        name = f"container-{self._containers}"
        self.cli("run", "--detach", "--init", "--name", name, *options, image, "sh", "-c", command)
        container = Container(self, name, 0)
        container.first_pid = until(5, container.pid, f"{name} runs")
        return container

    def import_image(self) -> None:
        if self.cli("image", "inspect", LOCAL_IMAGE, check=False).ok:
            return
        file = "/run/busybox.tar"
        self._box.put(file, root_tar(self._busybox, LOCAL_IMAGE))
        self.cli("import", "--change", "ENV PATH=/bin", file, LOCAL_IMAGE)
        self._box.run("rm", file)


class _OverUnixSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
