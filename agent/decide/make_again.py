"""The command that makes a container, a builder or an image again, so that it carries what a new one gets.

Pure: what dockerd reports of it goes in (`docker inspect`), a line for a shell comes out. Docker cannot change the
environment of a container (FACTS 18), so a new one takes its place. The new one is made first, and the old one goes
only when that has worked. The variables go from the one to the other through a pipe: they may hold passwords, and are
neither shown nor in any command line.
Not known here: which of them are stale (`stale.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from agent.targets import docker_create
from agent.targets.container import NAMES, Carried
from agent.targets.docker_create import NETWORKS, named, own_variables
from agent.values.inventory import Inspected
from agent.values.settings import Settings

_IN_PROXIES: Final = "'^(https?|all|no)_proxy='"
# Without what has several lines: --env-file would take each of them for a variable, and one that has no value from the
# caller's shell.
_IS_ONE_LINE: Final = '{{if eq (len (split . "\\n")) 1}}'
_HAS_A_VALUE: Final = '{{if gt (len (split . "=")) 1}}'
_ENVIRONMENT: Final = (
    f"'{{{{range .Config.Env}}}}{_IS_ONE_LINE}{_HAS_A_VALUE}{{{{println .}}}}{{{{end}}}}{{{{end}}}}{{{{end}}}}'"
)
_BUILDKIT: Final = "moby/buildkit:buildx-stable-1"  # what buildx takes by itself
_BUILDER: Final = "buildx_buildkit_"  # before the name of a builder's container


class Again(msgspec.Struct, frozen=True):
    """How it is made again."""

    command: str
    left: tuple[str, ...] = ()  # what the new one does not have, and the command cannot say


def container(found: Inspected, image: Inspected, docker: str = "docker") -> Again:
    """One that nobody else made. `image`: what it was made from; {}: not known any more."""
    name, again, before = named(found), f"{named(found)}-again", f"{named(found)}-before"
    create = shlex.join(docker_create.words(found, image, again))
    if own_variables(found, image):
        read = f"{docker} inspect --format {_ENVIRONMENT} {shlex.quote(name)} | grep -viE {_IN_PROXIES}"
        steps = [f"{read} | {docker} create --env-file /dev/stdin {create}"]
    else:
        steps = [f"{docker} create {create}"]
    steps += [_line(docker, "network", "connect", *words) for words in docker_create.connections(found, again)]
    if not _is_up(found):
        then = [("rm", name), ("rename", again, name)]
    elif (found.get("HostConfig") or {}).get("AutoRemove"):  # it goes by itself, at some moment after it has stopped
        then = [("rename", name, before), ("rename", again, name), ("stop", before), ("start", name)]
    else:
        then = [("stop", name), ("rm", name), ("rename", again, name), ("start", name)]
    steps += [_line(docker, *words) for words in then]
    return Again(" && ".join(steps), docker_create.left(found, image))


def _is_up(found: Inspected) -> bool:
    return bool((found.get("State") or {}).get("Running"))


def _line(docker: str, *words: str) -> str:
    """`docker` is quoted already: it may be a command with options."""
    return f"{docker} {shlex.join(words)}"


# A service of Compose, and a dev container: they are made again by who made them.

_PROJECT: Final = "com.docker.compose.project"
_OF_SERVICE: Final = "com.docker.compose.service"
_OF_COMPOSE: Final = "com.docker.compose."
_WORKSPACE: Final = "devcontainer.local_folder"


def with_own_labels(found: Inspected, image: Inspected) -> Inspected:
    """Without the labels that it has from its image: who made an image does not say what is run by who pastes a line.

    Compose writes project and service into the images that it builds, too; so these stay, if it made the container.
    """
    config = found.get("Config") or {}
    labels, of_image = config.get("Labels") or {}, (image.get("Config") or {}).get("Labels") or {}
    own = {name: value for name, value in labels.items() if of_image.get(name) != value}
    if any(name.startswith(_OF_COMPOSE) for name in own):
        own |= {name: labels[name] for name in (_PROJECT, _OF_SERVICE) if name in labels}
    return {**found, "Config": {**config, "Labels": own}}


def labels_of(found: Inspected) -> dict[str, str]:
    found_labels = (found.get("Config") or {}).get("Labels") or {}
    return {str(name): str(value) for name, value in found_labels.items()}


def service_of(found: Inspected) -> tuple[str, str] | None:
    """The project and the service of Compose that it belongs to; None: none, or it was made for one run."""
    labels = labels_of(found)
    if is_one_off(found) or _OF_SERVICE not in labels or _PROJECT not in labels:
        return None
    return labels[_PROJECT], labels[_OF_SERVICE]


def is_one_off(found: Inspected) -> bool:
    """Made by `docker compose run`, for one run."""
    return labels_of(found).get(f"{_OF_COMPOSE}oneoff", "").lower() == "true"


def removal(found: Inspected, docker: str = "docker") -> Again:
    return Again(_line(docker, "rm", "--force", named(found)))


def restart(found: Inspected, docker: str = "docker") -> Again:
    """Docker writes a container's resolv.conf anew when it starts."""
    return Again(_line(docker, "restart", named(found)))


def service(containers: Sequence[Inspected], docker: str = "docker") -> Again:
    """All containers of one service. `up` alone leaves them: it does not compare what the client puts in (FACTS 18)."""
    labels = labels_of(containers[0])
    is_first_compose = labels.get(f"{_OF_COMPOSE}version", "2").startswith("1.")
    words = ["--project-name", labels.get(_PROJECT, "")]
    if folder := labels.get(f"{_PROJECT}.working_dir"):
        words += ["--project-directory", folder]
    for file in labels.get(f"{_PROJECT}.config_files", "").split(","):
        if file in ("", "-"):  # it was read from a pipe
            continue
        words += ["--file", file]
    for file in filter(None, labels.get(f"{_PROJECT}.environment_file", "").split(",")):
        words += ["--env-file", file]
    is_up = any(_is_up(one) for one in containers)
    words += ["up", "--detach" if is_up else "--no-start", "--no-deps", "--force-recreate"]
    if len(containers) > 1:
        words += ["--scale", f"{labels[_OF_SERVICE]}={len(containers)}"]
    program = docker.replace("docker", "docker-compose", 1) if is_first_compose else f"{docker} compose"
    return Again(_line(program, *words, labels[_OF_SERVICE]))


def dev_container(found: Inspected) -> Again | None:
    """None: it is none."""
    folder = labels_of(found).get(_WORKSPACE)
    if not folder:
        return None
    return Again(shlex.join(["devcontainer", "up", "--workspace-folder", folder, "--remove-existing-container"]))


# A builder of buildx, which is a container, too.


def builder_of(found: Inspected) -> str:
    """Its name; '' if it is none. buildx numbers the nodes of one, if a person does not name them: the first is NAME0.

    Each has an engine of its own, so the other nodes are not seen here.
    """
    node = _node_of(found)
    return node[:-1] if node[-1:].isdigit() and len(node) > 1 else node


def _node_of(found: Inspected) -> str:
    name = named(found)
    return name.removeprefix(_BUILDER) if name.startswith(_BUILDER) else ""


def builder(found: Inspected, image: Inspected, settings: Settings, docker: str = "docker") -> Again:
    """buildkitd pulls with what it was made with (FACTS 21); the client gives it nothing by itself.

    Only this node is changed: its container goes, and the next build makes it again with its old cache. The first step
    fails where there is no builder of that name, as where its nodes have names of their own.
    """
    config, name = found.get("Config") or {}, builder_of(found)
    options = []
    if (config.get("Image") or _BUILDKIT) != _BUILDKIT:
        options.append(f"image={config['Image']}")
    mode = str((found.get("HostConfig") or {}).get("NetworkMode") or "")
    if mode not in NETWORKS:
        options.append(f"network={mode}")
    options += [f"env.{one}" for one in own_variables(found, image)]
    options += [f"env.{one}" for one in spelled(settings)]
    options = options or [f"image={_BUILDKIT}"]  # with none at all, buildx leaves those that it has
    words = [word for option in options for word in ("--driver-opt", _in_csv(option))]
    steps = (
        f"{_line(docker, 'buildx', 'inspect', name)} >/dev/null",
        _line(docker, "rm", "--force", named(found)),  # first: buildx asks one that runs, and undoes all if it is ill
        _line(docker, "buildx", "create", "--name", name, "--node", _node_of(found), *words),
    )
    return Again(" && ".join(steps), ("driver options but image, network and variables, if it has any",))


def _in_csv(option: str) -> str:
    """buildx reads several options from one word, with commas between them."""
    return '"' + option.replace('"', '""') + '"' if "," in option or '"' in option else option


def spelled(settings: Settings) -> Iterator[str]:
    """As variables; a password as it is shown."""
    for name, value in settings.lines():
        yield from (f"{variable}={value}" for variable in NAMES.get(name, ()))


# An image whose Dockerfile has a proxy in an ENV.


def image(name: str, carried: Carried, docker: str = "docker") -> Again:
    """One more layer, which empties the variables: a container then gets what the client gives it.

    The remedy for good is its Dockerfile.
    """
    emptied = " ".join(f"{variable}=" for variable in _set(carried))
    return Again(
        f"printf 'FROM %s\\nENV {emptied}\\n' {shlex.quote(name)} | {_line(docker, 'build', '--tag', name, '-')}"
    )


def _set(carried: Carried) -> Iterable[str]:
    for name, pair in carried.by_name().items():
        for variable, value in zip(NAMES[name], (pair.upper, pair.lower), strict=True):
            if value:
                yield variable
