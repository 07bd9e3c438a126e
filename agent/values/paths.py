"""Where every file is: those of one layout, below one root directory.

A layout is data: the system's, or that of a user's own instance, for a Docker of one's own. Nothing else tells the two
apart. `Paths("/")` is the real system; any other root is a throw-away one for tests, the demo and `--root`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

FOLDER: Final = "config.d"  # beside a policy: its other files
_OWN: Final = "docker-proxy-agent"


class Package(msgspec.Struct, frozen=True):
    """A Docker for the system that keeps its files elsewhere: its unit, and where they are."""

    service: str
    docker: str  # the folder of daemon.json,
    certificates: str  # and of certs.d
    configs: tuple[tuple[str, ...], ...]  # the config.json of its own client, below a home; it reads no ~/.docker


SNAP: Final = Package(
    "snap.docker.dockerd.service",
    docker="/var/snap/docker/current/config",
    certificates="/var/snap/docker/current/etc/docker",
    configs=(("snap", "docker", "current", ".docker", "config.json"),),
)


class Layout(msgspec.Struct, frozen=True):
    """The folders of one instance, and how its units are named to systemd. The defaults are the system's."""

    policy: str = f"/etc/{_OWN}"
    state: str = f"/var/lib/{_OWN}"
    runtime: str = f"/run/{_OWN}"
    log: str = f"/var/log/{_OWN}"
    relay: str = "/run/docker-proxy-relay"  # the relay's own; there is none for a Docker of one's own
    docker: str = "/etc/docker"  # the folder of daemon.json,
    certificates: str = ""  # and of certs.d; the same if it is empty
    configs: tuple[tuple[str, ...], ...] = ()  # of clients below a home, besides ~/.docker/config.json
    service: str = "docker.service"  # of the Docker that it serves, if the policy names none
    others: tuple[Package, ...] = ()  # that it may serve as well
    socket: str = "/run/docker.sock"  # of the Docker that it serves, if the policy names none
    scope: str = ""  # `clients.scope`, whatever the policy says; '': what it says
    bridge_is_here: bool = True  # whether that Docker's bridge is in this host's network
    units: str = "/etc/systemd/system"  # where a person's units and drop-ins belong
    unit_folders: tuple[str, ...] = (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    )
    starts: str = "/run/systemd/units"  # where systemd names each start of a unit
    manager: tuple[str, ...] = ()  # the options of systemctl,
    environment: Mapping[str, str] = {}  # and what it needs besides
    booted: str = "/run/systemd/system"  # exists while this manager runs; for the system's see sd_booted(3)
    user: int | None = None  # whose instance it is; None: the system's

    @property
    def is_packaged(self) -> bool:
        """Whether it serves a Docker that keeps its files where its package has them."""
        return self.service == SNAP.service

    @property
    def systemctl(self) -> str:
        """As a person types it."""
        return " ".join(("systemctl", *self.manager))


SYSTEM_LAYOUT: Final = Layout(others=(SNAP,))


def layout_of_user(uid: int, home: str, environment: Mapping[str, str]) -> Layout:
    """The layout of a user's own instance. `environment`: of the user's service manager, whose XDG_… count."""

    def base(variable: str, default: str) -> str:
        said = environment.get(variable, "")
        return said if said.startswith("/") else default  # the specification has a relative one ignored

    config, runtime = base("XDG_CONFIG_HOME", f"{home}/.config"), base("XDG_RUNTIME_DIR", f"/run/user/{uid}")
    state, data = base("XDG_STATE_HOME", f"{home}/.local/state"), base("XDG_DATA_HOME", f"{home}/.local/share")
    return Layout(
        policy=f"{config}/{_OWN}",
        state=f"{state}/{_OWN}",
        runtime=f"{runtime}/{_OWN}",
        log=f"{state}/{_OWN}/log",
        relay=f"{runtime}/docker-proxy-relay",
        docker=f"{config}/docker",
        socket=f"{runtime}/docker.sock",
        scope="local",  # `default` is for the system's Docker, whoever keeps it
        bridge_is_here=False,
        units=f"{config}/systemd/user",
        unit_folders=(  # as `systemd-analyze --user unit-paths` lists them
            f"{config}/systemd/user.control",
            f"{runtime}/systemd/user.control",
            f"{runtime}/systemd/transient",
            f"{config}/systemd/user",
            "/etc/systemd/user",
            f"{runtime}/systemd/user",
            "/run/systemd/user",
            f"{data}/systemd/user",
            "/usr/local/share/systemd/user",
            "/usr/share/systemd/user",
            "/usr/local/lib/systemd/user",
            "/usr/lib/systemd/user",
        ),
        starts=f"{runtime}/systemd/units",
        manager=("--user",),
        # The bus that the manager is on: a shell may have another one, as below dbus-run-session.
        environment={"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={quote(runtime)}/bus"},
        booted=f"{runtime}/systemd",
        user=uid,
    )


class Paths(msgspec.Struct, frozen=True):
    """The files of the agent and the files of others that it reads or writes."""

    root: Path = Path("/")
    layout: Layout = SYSTEM_LAYOUT

    @property
    def is_real(self) -> bool:
        """Whether this is the real system: only then are systemctl, processes and other users involved."""
        return self.root == Path("/")

    @property
    def is_the_systems(self) -> bool:
        """Whether the real system's instance has these: root's."""
        return self.is_real and self.layout.user is None

    def below(self, absolute: str) -> Path:
        """An absolute path of the system, as it lies below the root."""
        return self.root / absolute.lstrip("/")

    def serving(self, service: str) -> Paths:
        """The same for the Docker of this unit."""
        layout = msgspec.structs.replace(self.layout, service=service, others=())
        for package in self.layout.others:
            if package.service == service:
                layout = msgspec.structs.replace(
                    layout, docker=package.docker, certificates=package.certificates, configs=package.configs
                )
        return msgspec.structs.replace(self, layout=layout)

    @property
    def services(self) -> tuple[str, ...]:
        """The units of the Dockers that it may serve, each once; the usual one first."""
        return tuple(dict.fromkeys((self.layout.service, *(package.service for package in self.layout.others))))

    # The agent's own.

    @property
    def policy(self) -> Path:
        return self.below(self.layout.policy) / "config.toml"

    @property
    def environment_file(self) -> Path:
        """The values of the drop-in; 0600, for it may hold a password."""
        return self.below(self.layout.policy) / "dockerd.env"

    @property
    def state(self) -> Path:
        """0700: the journal, the originals, anchors, marks, pins."""
        return self.below(self.layout.state)

    @property
    def runtime(self) -> Path:
        return self.below(self.layout.runtime)

    @property
    def status(self) -> Path:
        """What the running agent shows; whoever may enter the folder may read it."""
        return self.runtime / "status.json"

    @property
    def choice(self) -> Path:
        """What other programs of this host can use now; whoever may enter the folder may read it."""
        return self.runtime / "choice.env"

    @property
    def control(self) -> Path:
        """Where the running agent is asked; for root and for whoever the agent runs as."""
        return self.runtime / "control.sock"

    @property
    def lock(self) -> Path:
        return self.runtime / "lock"

    @property
    def relay_orders(self) -> Path:
        """What the agent tells the relay, with passwords: for the relay alone."""
        return self.runtime / "relay.json"

    @property
    def relay_drop_in(self) -> Path:
        """Of the relay's socket unit: where it listens."""
        return self.unit_file("docker-proxy-relay.socket.d") / "50-docker-proxy-agent.conf"

    @property
    def relay_state(self) -> Path:
        """What the relay says of itself. Written by another user: a stranger's text."""
        return self.below(self.layout.relay) / "state.json"

    @property
    def pac_socket(self) -> Path:
        """Where PAC files are evaluated, if systemd does that. Its unit names it, too."""
        return self.runtime / "pac.sock"

    @property
    def audit_log(self) -> Path:
        return self.below(self.layout.log) / "audit.jsonl"

    def unit_file(self, name: str) -> Path:
        return self.below(self.layout.units) / name

    # Docker's and the system's.

    def drop_in(self, service: str) -> Path:
        """Sorted last, so that its EnvironmentFile= beats every other (FACTS 11)."""
        return self.unit_file(f"{service}.d") / "zz-docker-proxy-agent.conf"

    @property
    def daemon_json(self) -> Path:
        """Where dockerd looks without `--config-file`."""
        return self.below(self.layout.docker) / "daemon.json"

    @property
    def docker_certificates(self) -> Path:
        return self.below(self.layout.certificates or self.layout.docker) / "certs.d"

    def socket(self, named: str) -> str:
        """Docker's, as dockerd and its clients spell it. `named`: by the policy, '' if it leaves that to the layout."""
        return named or self.layout.socket

    def invocation_link(self, unit: str) -> Path:
        """It exists while the unit is up, or on its way up or down, and points to another target for each start."""
        return self.below(self.layout.starts) / f"invocation:{unit}"

    def unit_places(self, unit: str) -> tuple[Path, ...]:
        """Where a new drop-in or unit file would appear: a directory's time changes with the names in it."""
        kind = unit.rpartition(".")[2]
        names = (unit, f"{unit}.d", f"{kind}.d")
        return tuple(self.below(folder) / name for folder in self.layout.unit_folders for name in names)
