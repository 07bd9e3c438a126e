"""The laptop: a box with Docker and the agent, which is plugged into places."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from agent.audit.chain import opened
from tests.records import wrong_in
from tests.waiting import Seen, until

from .box import Box, CommandFailed, Ran
from .docker import LOCAL_IMAGE, Docker
from .ground import output
from .layer import layers
from .places import REGISTRY, Place, Proxy, World
from .rootfs import Suite, rootfs
from .rootless import RootlessDocker
from .snap import SnapDocker
from .vpn import Vpn

T = TypeVar("T")

AGENT = "/usr/local/bin/docker-proxy-agent"
POLICY = "/etc/docker-proxy-agent/config.toml"
STATUS = "/run/docker-proxy-agent/status.json"
AUDIT = "/var/log/docker-proxy-agent/audit.jsonl"
_ENDED = "the container has ended"
_DOCKERS_OWN_CODES = (125, 126, 127)  # docker-run(1): there was no such container
PROBE = f'[probe]\nregistry = ["https://{REGISTRY}"]\n'


class Laptop:
    """Booted, with Docker up, plugged in nowhere; a context that ends it."""

    def __init__(self, suite: Suite, world: World) -> None:
        self.suite, self.world = suite.name, world
        self.home, self.office, self.guest, self.cafe = world.home, world.office, world.guest, world.cafe
        self.campus, self.internet = world.campus, world.internet
        self.command = AGENT  # where the agent's is
        self._place: Place | None = None
        self._vpns: list[Vpn] = []
        world.reset()
        self._box = Box("laptop", layers(suite))
        self.run = self._box.run
        self.peek = self._box.peek
        self.reboot = self._box.reboot
        self.has_rebooted = self._box.has_rebooted
        self.stand_still = self._box.stand_still
        self._busybox = rootfs(suite) / "bin/busybox"
        self.docker = Docker(self._box, self._busybox)
        self.audit = Audit(self)

    # Roaming

    def plug(self, name: str) -> float:
        """Into a place, by wlan0: carrier, address, route and then DNS, as from a DHCP client.

        The moment (of time.monotonic) when the route was there, and DNS was not yet.
        """
        self.unplug()
        place = self.world.place(name)
        place.ground.sh(f"""
            ip link add laptop type veth peer name wlan0 netns {self._box.pid}
            ip link set laptop master lan; ip link set laptop up
        """)
        self._place = place
        self.network(f"ip link set wlan0 up; {place.lease}")
        arrived = time.monotonic()
        self.write("/etc/resolv.conf", place.resolv_conf)
        return arrived

    def unplug(self) -> None:
        if self._place is not None:
            self._place.ground.sh("ip link delete laptop")
            self._place = None
            self.write("/etc/resolv.conf", "")

    def out_of_range(self) -> None:
        """wlan0 loses its carrier, and for now nothing else."""
        self._at_the_place("ip link set laptop down")

    def in_range(self) -> None:
        self._at_the_place("ip link set laptop up")

    def _at_the_place(self, script: str) -> None:
        assert self._place is not None, "plugged in nowhere"
        self._place.ground.sh(script)

    def vpn(self) -> Vpn:
        """A tunnel into the office; ends with the laptop, or by its `close`."""
        self._vpns.append(Vpn(self._box.pid, self.office.ground.pid))
        return self._vpns[-1]

    def network(self, script: str) -> str:
        """A script of `ip` commands and the like on the laptop's network: VPNs, rules, other addresses."""
        return output(["nsenter", "-t", str(self._box.pid), "-n", "--", "sh", "-euc", script])

    def start_proxy(self, port: int = 7890, address: str = "127.0.0.1", upstream: Proxy | None = None) -> "LocalProxy":
        """A proxy app on the laptop itself (tinyproxy), that goes out by a proxy of the office or directly."""
        return LocalProxy(self, address, port, upstream)

    def rootless(self, user: str = "alice") -> RootlessDocker:
        """A Docker of the user's own, beside the system's: a few seconds until it is up."""
        return RootlessDocker(self._box, self._busybox, user)

    def snap(self) -> SnapDocker:
        """The snap of Docker in the place of Debian's: up, and started at each boot."""
        return SnapDocker(self._box, self._busybox)

    def distrust(self) -> None:
        """The lab's CA out of the system's store; it stays in LAB_CA, and in Docker's certs.d."""
        self.run("sh", "-euc", "rm /usr/local/share/ca-certificates/lab.crt; update-ca-certificates")

    def in_a_container(self, command: str, *run: str, user: str | None = None) -> Ran:
        """What a container that ends at once says and how it ends; `run` is the `docker run` that starts it.

        Of such a container a busy dockerd may lose all output (docs/facts.md 252): it is run anew until it comes.
        """
        argv = run or ("docker", "run", "--rm", LOCAL_IMAGE)
        and_a_mark = f"({command}); code=$?; echo {_ENDED}; exit $code"

        def ended() -> Ran | None:
            ran = self.run(*argv, "sh", "-c", and_a_mark, user=user, check=False)
            stdout, mark, _ = ran.stdout.partition(_ENDED)
            if not mark and ran.code in _DOCKERS_OWN_CODES:
                raise CommandFailed(str(ran))
            return replace(ran, stdout=stdout) if mark else None

        ran = until(60, ended, f"output of {command}")
        assert ran is not None
        return ran

    def proc(self, pid: int) -> Path:
        """What the kernel says of a process of the laptop, by its number there."""
        return Path(f"/proc/{self._box.pid}/root/proc/{pid}")

    # The agent

    def agent(self, *argv: str, user: str | None = None, timeout: float = 120) -> Ran:
        """A command of the agent; a failure is an answer, not an error."""
        return self.run(self.command, *argv, user=user, check=False, timeout=timeout)

    def policy(self, text: str) -> None:
        """The policy file; probes go to the lab's registry unless the text has a [probe] of its own."""
        self.write(POLICY, text if "[probe]" in text else PROBE + text)

    def status(self) -> dict[str, Any]:
        """What the running agent last wrote, or {}."""
        found: dict[str, Any] = json.loads(self.peek(STATUS) or b"{}")
        return found

    def journal(self, *units: str, lines: int = 100) -> str:
        chosen = [f"--unit={unit}" for unit in units]
        return self.run("journalctl", "--no-pager", "--output=short-precise", f"--lines={lines}", *chosen).stdout

    # Files

    def write(self, path: str, text: str, mode: int = 0o644, owner: str = "root") -> None:
        """At once, by rename (a link is replaced); folders that are missing are made, by the owner."""
        self._box.put(path, text, mode, owner)

    def read(self, path: str) -> str:
        return self.run("cat", "--", path).stdout

    def exists(self, path: str) -> bool:
        return self.run("test", "-e", path, check=False).ok

    # Waiting

    def until(self, predicate: Callable[..., T], *args: object, within: float = 10, **kwargs: object) -> T:
        """`until(docker.reports, http="…", within=5)`: the predicate's first truthy answer, else NotInTime."""
        asked = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
        what = f"{getattr(predicate, '__qualname__', repr(predicate))}({', '.join(asked)})"
        return until(within, lambda: predicate(*args, **kwargs), what, seldom=0.3)

    def close(self) -> None:
        for vpn in self._vpns:
            vpn.close()
        # Not left to the end of its network: the kernel takes its time for that, and the next laptop wants the socket.
        if self._place is not None:
            self._place.ground.sh("ip link delete laptop")
            self._place = None
        self._box.close()

    def __enter__(self) -> "Laptop":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalProxy:
    def __init__(self, laptop: Laptop, address: str, port: int, upstream: Proxy | None) -> None:
        self.url = f"http://{address}:{port}"
        self._laptop, self._address, self._port = laptop, address, port
        self._unit, self._log = f"local-proxy-{port}", f"/var/log/local-proxy-{port}.log"
        self._config = f"/etc/local-proxy-{port}.conf"
        way = f"Upstream http {upstream.url.partition('//')[2]}\n" if upstream else ""
        basics = f"Listen {address}\nPort {port}\nTimeout 600\nLogLevel Connect\n"
        laptop.write(self._config, f'{basics}LogFile "{self._log}"\n{way}')
        self.start()

    def start(self) -> None:
        argv = ("systemd-run", "--quiet", "--unit", self._unit, "tinyproxy", "-d", "-c", self._config)
        self._laptop.run(*argv)
        self._laptop.until(self.answers)

    def stop(self) -> None:
        self._laptop.run("systemctl", "stop", self._unit)

    def answers(self) -> bool:
        listening = self._laptop.network(f"ss -Htln src {self._address}:{self._port}")
        return listening != ""

    def log_text(self) -> str:
        return self._laptop.read(self._log)


class Audit:
    """The agent's audit log as it lies in the laptop."""

    def __init__(self, laptop: Laptop) -> None:
        self._laptop = laptop

    def records(self) -> list[dict[str, Any]]:
        # What stands there without an end is being written just now.
        return [json.loads(line) for line in self._laptop.peek(AUDIT).split(b"\n")[:-1]]

    def wrong(self) -> list[str]:
        """What docs/audit.schema.json does not allow, in the records that are as the agent wrote them."""
        written = (line for line in self._laptop.peek(AUDIT).split(b"\n") if opened(line) is not None)
        return [wrong for line in written for wrong in wrong_in(json.loads(line))]

    def events(self) -> list[str]:
        return [record["event"] for record in self.records()]

    def has(self, event: str) -> Seen:
        events = self.events()
        return Seen(event in events, events)
