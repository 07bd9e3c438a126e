"""The command line of `docker create` that makes a container as another one is: `docker inspect` in, words out.

What a command line cannot say again is named by `left`. Of what dockerd reports, what is usual is not said; a key that
nobody here knows and that is set is named, too, so that nothing is lost silently.

Pure. The variables of proxies are left out. The others are not on the command line, for they may hold passwords:
`own_variables` says whether there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from agent.targets.container import without_proxies
from agent.values.inventory import Inspected

_DEFAULT_SHM: Final = 64 * 1024 * 1024
_SHORT_NUMBER: Final = 4  # digits; fewer are rather a name
NETWORKS: Final = frozenset({"", "default", "bridge"})  # that a container is in without being told


def named(found: Inspected) -> str:
    return str(found.get("Name") or "").removeprefix("/") or str(found.get("Id"))[:12]


def words(found: Inspected, image: Inspected, name: str) -> list[str]:
    """Behind `docker create`. `image`: what it was made from; {}: not known any more."""
    config, host, of_image = _config(found), _host(found), _config(image)
    options = [
        *_of_config(found, config, of_image),
        *_process(config, of_image),
        *_of_host(host),
        *_limits(host),
        *_devices(host),
        *_of_mounts(found, host),
        *_of_network(found, host),
    ]
    return ["--name", name, *options, _image(found, image), *_command(config, of_image)]


def left(found: Inspected, image: Inspected) -> tuple[str, ...]:
    """What such a container would not have."""
    return (
        *_left_of_image(str(_config(found).get("Image") or ""), image),
        *_left_of_config(_config(found), _config(image)),
        *_left_of_host(_host(found)),
        *_left_of_networks(found),
    )


def _left_of_image(name: str, image: Inspected) -> Iterator[str]:
    if not image:
        yield f"its image, which is gone: {name or 'what has its number'} is pulled, or is another one"
    elif "@" not in name and not _leads_there(name, image):
        yield f"the name {name}, which leads to another image so far"


def connections(found: Inspected, name: str) -> Iterator[list[str]]:
    """Behind `docker network connect`, for its other networks: of several, `create` takes one."""
    mode = str(_host(found).get("NetworkMode") or "")
    first = "bridge" if mode in NETWORKS else mode
    for network, how in ((found.get("NetworkSettings") or {}).get("Networks") or {}).items():
        if first not in (network, (how or {}).get("NetworkID")):
            yield [*_in_network(found, how or {}, alias="--alias"), network, name]


def own_variables(found: Inspected, image: Inspected) -> tuple[str, ...]:
    """Those that are neither its image's nor of a proxy."""
    return without_proxies(_texts(_config(found).get("Env")), also=_texts(_config(image).get("Env")))


def _config(found: Inspected) -> Inspected:
    return found.get("Config") or {}


def _host(found: Inspected) -> Inspected:
    return found.get("HostConfig") or {}


def _image(found: Inspected, image: Inspected) -> str:
    """By its number where its name leads to another image by now, or was a digest."""
    name = str(_config(found).get("Image") or "")
    return name if name and "@" not in name and _leads_there(name, image) else str(found.get("Image") or name)


def _leads_there(name: str, image: Inspected) -> bool:
    """Also where that cannot be told. `name`: as the person typed it."""
    tags, number = image.get("RepoTags"), str(image.get("Id") or "").removeprefix("sha256:")
    is_number = len(name) >= _SHORT_NUMBER and number.startswith(name.removeprefix("sha256:"))
    return not isinstance(tags, list) or is_number or _familiar(name) in tags


def _familiar(name: str) -> str:
    """As dockerd lists it: without Docker Hub's own names, and with a tag."""
    for hub in ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"):
        name = name.removeprefix(hub)
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _command(config: Inspected, of_image: Inspected) -> list[str]:
    """What stands behind the image."""
    entry, command = _texts(config.get("Entrypoint")), _texts(config.get("Cmd"))
    if entry == _texts(of_image.get("Entrypoint")):
        return [] if command == _texts(of_image.get("Cmd")) else command
    return [*entry[1:], *command]


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _of_config(found: Inspected, config: Inspected, of_image: Inspected) -> Iterator[str]:
    mode = str(_host(found).get("NetworkMode") or "")
    host = str(config.get("Hostname") or "")
    if host and not str(found.get("Id")).startswith(host) and mode != "host" and not mode.startswith("container:"):
        yield from ("--hostname", host)
    for label, value in (config.get("Labels") or {}).items():
        if (of_image.get("Labels") or {}).get(label) != value:
            yield from ("--label", f"{label}={value}")
    published = _host(found).get("PortBindings") or {}
    for port in config.get("ExposedPorts") or {}:
        if port not in (of_image.get("ExposedPorts") or {}) and port not in published:
            yield from ("--expose", str(port))


def _process(config: Inspected, of_image: Inspected) -> Iterator[str]:
    yield from (option for key, option in (("Tty", "--tty"), ("OpenStdin", "--interactive")) if config.get(key))
    texts = (("User", "--user"), ("WorkingDir", "--workdir"), ("StopSignal", "--stop-signal"))
    for key, option in (("Domainname", "--domainname"), *texts):
        if config.get(key) and config.get(key) != of_image.get(key):
            yield from (option, str(config[key]))
    if config.get("StopTimeout") is not None:
        yield from ("--stop-timeout", str(config["StopTimeout"]))
    entry = _texts(config.get("Entrypoint"))
    if entry != _texts(of_image.get("Entrypoint")):
        yield from ("--entrypoint", entry[0] if entry else "")


def _left_of_config(config: Inspected, of_image: Inspected) -> Iterator[str]:
    if config.get("Healthcheck") and config.get("Healthcheck") != of_image.get("Healthcheck"):
        yield "its health check"
    for one in without_proxies(_texts(config.get("Env")), also=_texts(of_image.get("Env"))):
        if "\n" in one:
            yield f"the variable {one.partition('=')[0]}, which has several lines"


_LISTS: Final = {
    "CapAdd": "--cap-add",
    "CapDrop": "--cap-drop",
    "Dns": "--dns",
    "DnsOptions": "--dns-option",
    "DnsSearch": "--dns-search",
    "ExtraHosts": "--add-host",
    "GroupAdd": "--group-add",
    "VolumesFrom": "--volumes-from",
    "DeviceCgroupRules": "--device-cgroup-rule",
}
_FLAGS: Final = {
    "Privileged": "--privileged",
    "ReadonlyRootfs": "--read-only",
    "Init": "--init",
    "AutoRemove": "--rm",
    "PublishAllPorts": "--publish-all",
    "OomKillDisable": "--oom-kill-disable",
}
# The option, and what need not be said.
_VALUES: Final[Mapping[str, tuple[str, frozenset[object]]]] = {
    "IpcMode": ("--ipc", frozenset({"", "private", "shareable"})),
    "PidMode": ("--pid", frozenset({""})),
    "UTSMode": ("--uts", frozenset({""})),
    "UsernsMode": ("--userns", frozenset({""})),
    "CgroupnsMode": ("--cgroupns", frozenset({"", "private"})),
    "CgroupParent": ("--cgroup-parent", frozenset({""})),
    "Runtime": ("--runtime", frozenset({"", "runc", "io.containerd.runc.v2"})),
    "VolumeDriver": ("--volume-driver", frozenset({""})),
    "ShmSize": ("--shm-size", frozenset({0, _DEFAULT_SHM})),
    "Memory": ("--memory", frozenset({0})),
    "MemorySwap": ("--memory-swap", frozenset({0})),
    "MemoryReservation": ("--memory-reservation", frozenset({0})),
    "CpuShares": ("--cpu-shares", frozenset({0})),
    "CpuPeriod": ("--cpu-period", frozenset({0})),
    "CpuQuota": ("--cpu-quota", frozenset({0})),
    "CpusetCpus": ("--cpuset-cpus", frozenset({""})),
    "CpusetMems": ("--cpuset-mems", frozenset({""})),
    "PidsLimit": ("--pids-limit", frozenset({0, -1})),
    "BlkioWeight": ("--blkio-weight", frozenset({0})),
    "OomScoreAdj": ("--oom-score-adj", frozenset({0})),
}
# Said elsewhere here, set by Docker alone, or of another system.
_SAID: Final = frozenset(
    {
        "Binds", "Mounts", "Tmpfs", "PortBindings", "NetworkMode", "RestartPolicy", "LogConfig", "Devices", "Ulimits",
        "Sysctls", "NanoCpus", "SecurityOpt", "StorageOpt", "DeviceRequests", "ContainerIDFile", "ConsoleSize",
        "MaskedPaths", "ReadonlyPaths", "Isolation",
    }
)  # fmt: skip
_ALL_GPUS: Final = {"Count": -1, "Capabilities": [["gpu"]]}


def _of_host(host: Inspected) -> Iterator[str]:
    yield from (option for key, option in _FLAGS.items() if host.get(key))
    for key, option in _LISTS.items():
        for one in _texts(host.get(key)):
            yield from (option, one)
    for key, (option, usual) in _VALUES.items():
        if host.get(key) is not None and host[key] not in usual:
            yield from (option, str(host[key]))


def _limits(host: Inspected) -> Iterator[str]:
    if host.get("NanoCpus"):
        yield from ("--cpus", f"{host['NanoCpus'] / 1e9:g}")
    restart = host.get("RestartPolicy") or {}
    if restart.get("Name") not in (None, "", "no"):
        most = restart.get("MaximumRetryCount")
        yield from ("--restart", f"{restart['Name']}:{most}" if most else str(restart["Name"]))
    log = host.get("LogConfig") or {}
    if log.get("Type") not in (None, "", "json-file"):
        yield from ("--log-driver", str(log["Type"]))
    for key, value in (log.get("Config") or {}).items():
        yield from ("--log-opt", f"{key}={value}")
    for one in host.get("Ulimits") or ():
        yield from ("--ulimit", f"{one.get('Name')}={one.get('Soft')}:{one.get('Hard')}")
    for option, key in (("--sysctl", "Sysctls"), ("--storage-opt", "StorageOpt")):
        for name, value in (host.get(key) or {}).items():
            yield from (option, f"{name}={value}")
    for one in _texts(host.get("SecurityOpt")):
        if "{" not in one:
            yield from ("--security-opt", one)


def _devices(host: Inspected) -> Iterator[str]:
    for one in host.get("Devices") or ():
        parts = (one.get("PathOnHost"), one.get("PathInContainer"), one.get("CgroupPermissions"))
        yield from ("--device", ":".join(str(part) for part in parts if part))
    if any(_is_all_gpus(one) for one in host.get("DeviceRequests") or ()):
        yield from ("--gpus", "all")


def _left_of_host(host: Inspected) -> Iterator[str]:
    known = {*_FLAGS, *_LISTS, *_VALUES, *_SAID}
    yield from (key for key, value in host.items() if value and key not in known)
    if any("{" in one for one in _texts(host.get("SecurityOpt"))):  # the profile itself, and no longer its file
        yield "SecurityOpt"
    if not all(_is_all_gpus(one) for one in host.get("DeviceRequests") or ()):
        yield "DeviceRequests"
    if any(not _can_be_said(one) for one in host.get("Mounts") or ()):
        yield "options of a mount"


# Said, or given by Docker.
_OF_A_NETWORK: Final = frozenset(
    {
        "IPAMConfig", "Aliases", "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway",
        "GlobalIPv6Address", "GlobalIPv6PrefixLen", "DNSNames", "MacAddress",
    }
)  # fmt: skip


def _left_of_networks(found: Inspected) -> Iterator[str]:
    if _config(found).get("MacAddress"):
        yield "MacAddress"
    for network, how in ((found.get("NetworkSettings") or {}).get("Networks") or {}).items():
        yield from (f"{key} of {network}" for key, value in (how or {}).items() if value and key not in _OF_A_NETWORK)


def _is_all_gpus(request: Inspected) -> bool:
    return all(request.get(key) == value for key, value in _ALL_GPUS.items()) and not request.get("Driver")


def _can_be_said(mount: Inspected) -> bool:
    return not any(mount.get(key) for key in ("BindOptions", "VolumeOptions", "TmpfsOptions"))


def _of_mounts(found: Inspected, host: Inspected) -> Iterator[str]:
    """Its own volumes too, by their names: what lies there is kept."""
    binds = _texts(host.get("Binds"))
    covered = {one.partition(":")[2].partition(":")[0] for one in binds}
    for one in binds:
        yield from ("--volume", one)
    for one in host.get("Mounts") or ():
        target = str(one.get("Target"))
        covered.add(target)
        words = [
            f"type={one.get('Type')}",
            *([f"source={one['Source']}"] if one.get("Source") else ()),
            f"target={target}",
        ]
        yield from ("--mount", ",".join([*words, "readonly"] if one.get("ReadOnly") else words))
    for path, how in (host.get("Tmpfs") or {}).items():
        yield from ("--tmpfs", f"{path}:{how}" if how else str(path))
    for one in found.get("Mounts") or ():
        if one.get("Type") == "volume" and one.get("Destination") not in covered:
            yield from ("--volume", f"{one.get('Name')}:{one.get('Destination')}")


def _of_network(found: Inspected, host: Inspected) -> Iterator[str]:
    mode = str(host.get("NetworkMode") or "")
    if mode not in NETWORKS:
        yield from ("--network", mode)
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    by_id = {(how or {}).get("NetworkID"): how for how in networks.values()}
    yield from _in_network(found, networks.get(mode) or by_id.get(mode) or {}, alias="--network-alias")
    for port, bindings in (host.get("PortBindings") or {}).items():
        for one in bindings or ():
            outer = str(one.get("HostPort") or "")
            address = str(one.get("HostIp") or "")
            address = f"[{address}]" if ":" in address else address
            inner = str(port).removesuffix("/tcp")
            parts = [address, outer, inner] if address else [outer, inner] if outer else [inner]
            yield from ("--publish", ":".join(parts))


def _in_network(found: Inspected, network: Inspected, alias: str) -> Iterator[str]:
    ipam = network.get("IPAMConfig") or {}
    for key, option in (("IPv4Address", "--ip"), ("IPv6Address", "--ip6")):
        if ipam.get(key):
            yield from (option, str(ipam[key]))
    for one in _texts(network.get("Aliases")):
        if not str(found.get("Id")).startswith(one) and one != named(found):
            yield from (alias, one)
