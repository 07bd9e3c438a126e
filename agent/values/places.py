"""The places where a Docker may have its proxy, as data: which files, how it is put in force, what is ignored there.

Values only, one for each name of `env --system`. Each says where its facts are from (`sources`), field by field; what
was tried of it is in docs/engines.md. Not known here: what is written there (`targets/elsewhere.py`), and for which
upstream (`decide/elsewhere.py`).

A new place is a value here and a line in PLACES; a new kind of file is a member of `Form` and a function in
`targets/elsewhere.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from agent.values.paths import SNAP


class Form(enum.Enum):
    """How a place spells the daemon's settings."""

    DROP_IN = "drop-in"  # of a systemd unit, with Environment=
    DAEMON_JSON = "daemon-json"
    SETTINGS_STORE = "settings-store"  # Docker Desktop's own
    ENVIRONMENT_YAML = "environment-yaml"  # `env:` of colima, Lima and Rancher Desktop
    ORB = "orb"  # commands
    RDCTL = "rdctl"  # commands

    @property
    def is_json(self) -> bool:
        """Whether our keys can be set in a file that is there already, and all else of it stays."""
        return self in (Form.DAEMON_JSON, Form.SETTINGS_STORE)


class File(msgspec.Struct, frozen=True):
    """Where one is, as a person there types it."""

    path: str
    on: str = ""  # if the place is on several systems


class Way(msgspec.Struct, frozen=True):
    """One way to give the daemon its settings: what is typed before, the files, what is typed after, and to see it."""

    form: Form
    files: tuple[File, ...] = ()  # none: commands alone
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    check: tuple[str, ...] = ("docker info",)
    when: str = ""  # to choose between several
    gateway: str = ""  # in the place of the place's own


class Place(msgspec.Struct, frozen=True):
    """One of them."""

    name: str
    title: str
    ways: tuple[Way, ...]  # the usual one first
    client: tuple[File, ...]
    is_kept: bool = False  # whether the agent does it by itself, if it runs there
    gateway: str = ""  # where the daemon reaches the laptop's 127.0.0.1; '': there, as every program of the laptop does
    loopback: str = ""  # what a proxy on loopback needs besides
    containers: str = ""  # where containers reach it; '': nowhere that is known
    containers_need: str = ""  # what it takes for that
    containers_follow: bool = False  # whether they go through the daemon's proxy without settings of their own
    takes_password: bool = True  # whether user and password may stand in its URL
    notes: tuple[str, ...] = ()  # what else to know
    ignored: tuple[str, ...] = ()  # what looks right and does nothing
    sources: Mapping[str, str] = msgspec.field(default_factory=dict)  # by the names of these fields


_HOME_CLIENT: Final = File("~/.docker/config.json")
_WINDOWS_CLIENT: Final = File("%USERPROFILE%\\.docker\\config.json", "Windows")
_ON_THE_BRIDGE: Final = "it must listen on Docker's bridge, too; 172.17.0.1 is the usual one: ip -4 addr show docker0"
_NO_ALL_PROXY: Final = "ALL_PROXY, or a key all-proxy: no Docker daemon reads it"

_DAEMON: Final = "https://docs.docker.com/engine/daemon/proxy/"
_DAEMON_FILE: Final = "https://docs.docker.com/engine/daemon/"
_CLIENT: Final = "https://docs.docker.com/engine/cli/proxy/"
_DESKTOP: Final = "https://docs.docker.com/desktop/settings-and-maintenance/settings/"
_DESKTOP_REFERENCE: Final = (
    "https://docs.docker.com/enterprise/security/hardened-desktop/settings-management/settings-reference/"
)
_ORBSTACK: Final = "https://docs.orbstack.dev/docker/network#proxies"
_COLIMA: Final = "https://github.com/abiosoft/colima/blob/v0.10.3/docs/FAQ.md"
_COLIMA_CODE: Final = "https://github.com/abiosoft/colima/blob/v0.10.3/environment/container/docker/daemon.go"
_LIMA: Final = "https://github.com/lima-vm/lima/blob/v2.2.0/templates/default.yaml"
_LIMA_NETWORK: Final = "https://lima-vm.io/docs/config/network/user/"
_RANCHER: Final = "https://docs.rancherdesktop.io/how-to-guides/provisioning-scripts/"
_RANCHER_PROXY: Final = "https://docs.rancherdesktop.io/ui/preferences/wsl/proxy/"
_RANCHER_FAQ: Final = "https://docs.rancherdesktop.io/faq/"
_WSL: Final = "https://learn.microsoft.com/en-us/windows/wsl/networking"
_WSL_SYSTEMD: Final = "https://learn.microsoft.com/en-us/windows/wsl/systemd"
_SNAP: Final = "https://github.com/canonical/docker-snap/blob/main/README.md"
_ROOTLESS: Final = "https://docs.docker.com/engine/security/rootless/tips/"
_ROOTLESS_SCRIPT: Final = "https://github.com/moby/moby/blob/master/contrib/dockerd-rootless.sh"


def _drop_in(folder: str, unit: str, *, sudo: str = "sudo ", manager: str = "") -> Way:
    systemctl = f"systemctl{manager}"
    return Way(
        Form.DROP_IN,
        (File(f"{folder}/{unit}.service.d/http-proxy.conf"),),
        before=(f"{sudo}mkdir -p {folder}/{unit}.service.d",),
        after=(f"{sudo}{systemctl} daemon-reload", f"{sudo}{systemctl} restart {unit}"),
        check=(f"{systemctl} show --property=Environment {unit}",),
        when="any Docker; any user can read these values with systemctl show",
    )


def _daemon_json(path: str, restart: str) -> Way:
    return Way(Form.DAEMON_JSON, (File(path),), after=(restart,), when="Docker 23.0 and newer; overrides the drop-in")


LINUX: Final = Place(
    "linux",
    "Docker on Linux",
    ways=(
        _drop_in("/etc/systemd/system", "docker"),
        _daemon_json("/etc/docker/daemon.json", "sudo systemctl restart docker"),
    ),
    client=(_HOME_CLIENT,),
    is_kept=True,
    containers="172.17.0.1",
    containers_need=_ON_THE_BRIDGE,
    ignored=(_NO_ALL_PROXY, "HTTP_PROXY in a shell: docker pull is done by the daemon"),
    sources={
        "ways": _DAEMON,
        "client": _CLIENT,
        "gateway": "docs/facts.md: 20",
        "containers": "docs/facts.md: 20",
        "ignored": "docs/facts.md: 7",
    },
)

SNAP_PLACE: Final = Place(
    "snap",
    "the snap of Docker",
    ways=(
        _drop_in("/etc/systemd/system", SNAP.service.removesuffix(".service")),
        _daemon_json(f"{SNAP.docker}/daemon.json", "sudo snap restart docker.dockerd"),
    ),
    client=(File("~/snap/docker/current/.docker/config.json"),),
    is_kept=True,
    containers="172.17.0.1",
    containers_need=_ON_THE_BRIDGE,
    notes=("Make the folder of the client's file if it is not there: mkdir -p ~/snap/docker/current/.docker",),
    ignored=(
        "/etc/docker/daemon.json: the snap reads its own",
        "~/.docker/config.json: the snap's client reads its own",
        _NO_ALL_PROXY,
    ),
    sources={
        "ways": _SNAP,
        "client": "docs/engines.md: The snap",
        "gateway": "docs/facts.md: 20",
        "containers": "docs/facts.md: 20",
        "ignored": _SNAP,
    },
)

ROOTLESS: Final = Place(
    "rootless",
    "a rootless Docker",
    ways=(
        _drop_in("~/.config/systemd/user", "docker", sudo="", manager=" --user"),
        _daemon_json("~/.config/docker/daemon.json", "systemctl --user restart docker"),
    ),
    client=(_HOME_CLIENT,),
    is_kept=True,
    gateway="10.0.2.2",
    loopback=(
        "Docker's unit must let it through, below [Service]:"
        " Environment=DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false (Docker 26 has it, 20.10 has not);"
        " then its containers reach everything on this host's 127.0.0.1"
    ),
    containers="10.0.2.2",
    containers_need="the same line in Docker's unit",
    notes=("$XDG_CONFIG_HOME, if it is set, takes the place of ~/.config",),
    ignored=("/etc/docker/daemon.json: it reads its user's", _NO_ALL_PROXY),
    sources={
        "ways": _ROOTLESS,
        "client": _CLIENT,
        "gateway": "https://github.com/rootless-containers/slirp4netns/blob/master/slirp4netns.1.md",
        "loopback": _ROOTLESS_SCRIPT,
        "containers": _ROOTLESS_SCRIPT,
        "ignored": _ROOTLESS,
    },
)

WSL: Final = Place(
    "wsl",
    "Docker in a distribution of WSL 2",
    ways=LINUX.ways,
    client=(_HOME_CLIENT,),
    is_kept=True,
    loopback=(
        "it is the one of Windows only with networkingMode=mirrored below [wsl2] in %USERPROFILE%\\.wslconfig,"
        " then: wsl --shutdown (Windows 11 22H2; 127.0.0.1 alone, not ::1). Else Windows is the default gateway"
        " (ip route show default), and the proxy must listen there, too"
    ),
    notes=(
        "systemctl needs systemd=true below [boot] in /etc/wsl.conf",
        "With Docker Desktop's integration the daemon is Docker Desktop's: env --system docker-desktop",
    ),
    ignored=(_NO_ALL_PROXY, "HTTP_PROXY in a shell, which autoProxy sets: docker pull is done by the daemon"),
    sources={
        "ways": _DAEMON,
        "client": _CLIENT,
        "gateway": _WSL,
        "loopback": _WSL,
        "notes": _WSL_SYSTEMD,
        "ignored": "https://learn.microsoft.com/en-us/windows/wsl/troubleshooting",
    },
)

WINDOWS: Final = Place(
    "windows",
    "Docker on Windows, with Windows containers",
    ways=(
        Way(
            Form.DAEMON_JSON,
            (File("C:\\ProgramData\\docker\\config\\daemon.json"),),
            after=("Restart-Service docker",),
            when="Docker 23.0 and newer",
        ),
    ),
    client=(msgspec.structs.replace(_WINDOWS_CLIENT, on=""),),
    notes=("If there is a file already: env --system windows --merge FILE prints it with these keys set",),
    ignored=(_NO_ALL_PROXY, "with Docker Desktop: env --system docker-desktop"),
    sources={
        "ways": _DAEMON_FILE,
        "client": _CLIENT,
        "gateway": _DAEMON,
        "ignored": _DAEMON,
    },
)

DESKTOP: Final = Place(
    "docker-desktop",
    "Docker Desktop",
    ways=(
        Way(
            Form.SETTINGS_STORE,
            (
                File("~/Library/Group Containers/group.com.docker/settings-store.json", "macOS"),
                File("%APPDATA%\\Docker\\settings-store.json", "Windows"),
                File("~/.docker/desktop/settings-store.json", "Linux"),
            ),
            before=("docker desktop stop",),  # one that runs writes over it
            after=("docker desktop start",),
            check=("docker pull hello-world",),  # docker info shows the same, whatever is set
            when="or by hand: Settings, Resources, Proxies, Manual configuration",
        ),
    ),
    client=(File("~/.docker/config.json", "macOS and Linux"), _WINDOWS_CLIENT),
    containers="host.docker.internal",
    takes_password=False,
    notes=(
        "User and password are not in that file: Docker Desktop asks for them, and keeps them in the system's store",
        "docker info shows http.docker.internal:3128, whatever is set: that one passes on to the proxy",
        "A proxy for containers that is set in Docker Desktop itself overrides these: ContainersProxyHTTPMode and"
        " ContainersOverrideProxy… in the same file, or Settings, Resources, Proxies",
        "SOCKS needs a Business subscription",
    ),
    ignored=(
        "proxies in daemon.json (~/.docker/daemon.json): Docker Desktop does not read them",
        "~/.docker/config/daemon.json: nobody reads that file",
    ),
    sources={
        "ways": _DESKTOP,
        "client": _CLIENT,
        "gateway": "https://github.com/docker/for-win/issues/5715",
        "containers": "https://docs.docker.com/desktop/features/networking/",
        "takes_password": _DESKTOP,
        "notes": f"{_DESKTOP}, {_DESKTOP_REFERENCE}, https://github.com/docker/for-win/issues/14818",
        "ignored": f"{_DAEMON} and {_DAEMON_FILE}",
    },
)

ORBSTACK: Final = Place(
    "orbstack",
    "OrbStack",
    ways=(Way(Form.ORB, check=("orb config get network_proxy",), when="or by hand: Settings, Network, Proxy"),),
    client=(),
    containers_follow=True,
    notes=(
        "It follows the proxy of macOS by itself: orb config set network_proxy auto",
        "Containers go through that proxy without settings of their own: the client's file is not needed",
        "It takes one proxy for everything",
        "If pulls still go the old way: orb restart docker",
    ),
    ignored=("proxies in ~/.orbstack/config/docker.json: OrbStack's own proxy is what counts",),
    sources={
        "ways": _ORBSTACK,
        "gateway": "https://github.com/orbstack/orbstack/issues/226",
        "containers_follow": _ORBSTACK,
        "notes": _ORBSTACK,
        "ignored": "https://github.com/orbstack/orbstack/issues/1344",
    },
)

COLIMA: Final = Place(
    "colima",
    "colima",
    ways=(
        Way(
            Form.ENVIRONMENT_YAML,
            (File("~/.colima/default/colima.yaml"),),
            after=("colima restart",),
            when="of another profile: ~/.colima/NAME/colima.yaml",
        ),
    ),
    client=(_HOME_CLIENT,),
    loopback="colima writes the laptop's address in its place at each start (0.8.2 and newer)",
    containers="host.docker.internal",
    notes=("The file has a line `env: {}`: these lines replace it",),
    ignored=(
        "~/.docker/daemon.json, and daemon.json in the virtual machine: colima writes that one at each start",
        "proxies below `docker:` in that file, while the laptop's shell has http_proxy",
        _NO_ALL_PROXY,
    ),
    sources={
        "ways": _COLIMA,
        "client": _CLIENT,
        "gateway": _COLIMA_CODE,
        "loopback": _COLIMA_CODE,
        "containers": "https://github.com/abiosoft/colima/blob/v0.10.3/environment/vm/lima/yaml.go",
        "notes": "https://github.com/abiosoft/colima/blob/v0.10.3/embedded/defaults/colima.yaml",
        "ignored": _COLIMA_CODE,
    },
)

LIMA: Final = Place(
    "lima",
    "Lima with its template for Docker",
    ways=(
        Way(
            Form.ENVIRONMENT_YAML,
            (File("~/.lima/docker/lima.yaml"),),
            before=("limactl stop docker",),
            after=("limactl start docker",),
            when="of another instance: ~/.lima/NAME/lima.yaml, or: limactl edit NAME",
        ),
    ),
    client=(_HOME_CLIENT,),
    loopback="Lima writes the laptop's address in its place at each start (192.168.5.2)",
    containers="host.docker.internal",
    notes=(
        "It is for template:docker, whose daemon is the user's. That of template:docker-rootful does not read it:"
        " limactl shell NAME, and there what env --system linux prints",
    ),
    ignored=("these lines, while the shell of limactl start has http_proxy (propagateProxyEnv)", _NO_ALL_PROXY),
    sources={
        "ways": _LIMA,
        "client": _CLIENT,
        "gateway": _LIMA,
        "loopback": _LIMA_NETWORK,
        "containers": "https://github.com/lima-vm/lima/blob/v2.2.0/templates/docker.yaml",
        "notes": "https://github.com/lima-vm/lima/blob/v2.2.0/templates/docker-rootful.yaml",
        "ignored": _LIMA,
    },
)

RANCHER: Final = Place(
    "rancher",
    "Rancher Desktop",
    ways=(
        Way(
            Form.ENVIRONMENT_YAML,
            (
                File("~/Library/Application Support/rancher-desktop/lima/_config/override.yaml", "macOS"),
                File("~/.local/share/rancher-desktop/lima/_config/override.yaml", "Linux"),
            ),
            after=("rdctl shutdown", "rdctl start"),
            when="macOS and Linux",
        ),
        Way(
            Form.RDCTL,
            check=("rdctl list-settings",),
            when="Windows, where it is experimental; or by hand: Preferences, WSL, Proxy",
            gateway="host.docker.internal",
        ),
    ),
    client=(File("~/.docker/config.json", "macOS and Linux"), _WINDOWS_CLIENT),
    loopback=(
        "on macOS and Linux Lima writes the laptop's address in its place; on Windows host.docker.internal leads there,"
        " if the firewall lets it through"
    ),
    containers="host.docker.internal",
    notes=(
        "If docker info shows no proxy on macOS or Linux, OpenRC kept it from the daemon. Once:"
        """ rdctl shell sudo sed -i 's/^#rc_env_allow=.*/rc_env_allow="*"/' /etc/rc.conf""",
        "On Windows user, password and exclusions are entered by hand: Preferences, WSL, Proxy",
    ),
    ignored=("the proxy of its preferences, on macOS and Linux: it is for Windows", _NO_ALL_PROXY),
    sources={
        "ways": f"{_RANCHER} and {_RANCHER_PROXY}",
        "client": _CLIENT,
        "gateway": "https://github.com/rancher-sandbox/rancher-desktop/issues/1151",
        "loopback": _RANCHER_FAQ,
        "containers": _RANCHER_FAQ,
        "notes": "https://github.com/rancher-sandbox/rancher-desktop/issues/5011",
        "ignored": "https://github.com/rancher-sandbox/rancher-desktop/blob/main/pkg/rancher-desktop/assets/specs/command-api.yaml",
    },
)

PLACES: Final = {
    place.name: place for place in (LINUX, ROOTLESS, SNAP_PLACE, WSL, WINDOWS, DESKTOP, ORBSTACK, COLIMA, LIMA, RANCHER)
}
