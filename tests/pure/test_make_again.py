"""The command that makes something again: what dockerd reports goes in, a line for a shell comes out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from agent.decide import make_again
from agent.targets import docker_create
from agent.targets.container import carried
from agent.values.settings import DIRECT, settings

ID = "4f5c" * 16
NUMBER = "sha256:" + "ab" * 32
IMAGE: dict[str, Any] = {
    "Id": NUMBER,
    "Config": {
        "Env": ["PATH=/usr/bin", "NGINX_VERSION=1.27"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Entrypoint": ["/docker-entrypoint.sh"],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"maintainer": "NGINX"},
        "WorkingDir": "",
        "StopSignal": "SIGQUIT",
    },
}
OFFICE = settings("http://proxy.corp.example:3128", "http://proxy.corp.example:3128", "localhost,127.0.0.0/8")


def inspected(
    name: str = "web", config: Mapping[str, Any] | None = None, host: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A container as `docker run --name web nginx` makes it, with what differs."""
    usual = {**IMAGE["Config"], "Image": "nginx:1.27", "Hostname": ID[:12], "Tty": False}
    usual_host = {
        "NetworkMode": "default", "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "ShmSize": 67108864,
        "IpcMode": "private", "CgroupnsMode": "private", "Runtime": "runc", "LogConfig": {"Type": "json-file", "Config": {}},
        "Binds": None, "PortBindings": {}, "CapAdd": None, "AutoRemove": False, "PidsLimit": None, "ConsoleSize": [24, 80],
        "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"], "Memory": 0, "BlkioDeviceReadBps": [],
    }  # fmt: skip
    return {
        "Id": ID,
        "Name": f"/{name}",
        "Image": NUMBER,
        "State": {"Running": True},
        "Config": {**usual, **(config or {})},
        "HostConfig": {**usual_host, **(host or {})},
        "NetworkSettings": {"Networks": {"bridge": {"Aliases": None}}},
        "Mounts": [],
        **more,
    }


def options(found: Mapping[str, Any]) -> str:
    """Between the name and the image."""
    words = docker_create.words(found, IMAGE, "web-again")
    return shlex.join(words[2 : words.index("nginx:1.27")])


def test_one_that_runs_is_made_anew_before_the_old_one_goes() -> None:
    assert make_again.container(inspected(), IMAGE).command == (
        "docker create --name web-again nginx:1.27"
        " && docker stop web && docker rm web && docker rename web-again web && docker start web"
    )


def test_one_that_does_not_run_is_not_started() -> None:
    found = inspected(State={"Running": False})

    assert make_again.container(found, IMAGE).command == (
        "docker create --name web-again nginx:1.27 && docker rm web && docker rename web-again web"
    )


def test_one_that_goes_by_itself_frees_its_name_first() -> None:
    assert make_again.container(inspected(host={"AutoRemove": True}), IMAGE).command == (
        "docker create --name web-again --rm nginx:1.27 && docker rename web web-before"
        " && docker rename web-again web && docker stop web-before && docker start web"
    )


def test_its_own_variables_go_through_a_pipe_and_none_of_them_shows() -> None:
    env = [*IMAGE["Config"]["Env"], "PASSWORD=hunter2", "http_proxy=http://alice:tr0ub4dor@old:1"]

    command = make_again.container(inspected(config={"Env": env}), IMAGE).command

    assert command.startswith(
        'docker inspect --format \'{{range .Config.Env}}{{if eq (len (split . "\\n")) 1}}{{if gt (len (split . "=")) 1}}'
        "{{println .}}{{end}}{{end}}{{end}}' web | grep -viE '^(https?|all|no)_proxy='"
        " | docker create --env-file /dev/stdin --name web-again nginx:1.27 && "
    )
    assert "hunter2" not in command
    assert "tr0ub4dor" not in command


def test_an_image_is_named_by_its_number_once_its_name_leads_elsewhere() -> None:
    moved = make_again.container(inspected(), {**IMAGE, "RepoTags": ["nginx:1.28"]})

    assert moved.command.startswith(f"docker create --name web-again {NUMBER} && ")
    assert "the name nginx:1.27, which leads to another image so far" in moved.left
    there = make_again.container(inspected(), {**IMAGE, "RepoTags": ["nginx:1.27", "nginx:latest"]})
    assert "docker create --name web-again nginx:1.27 && " in there.command
    assert there.left == ()


@pytest.mark.parametrize(
    ("typed", "tags", "is_kept"),
    [
        ("nginx", ["nginx:latest"], True),
        ("docker.io/library/nginx:1.27", ["nginx:1.27"], True),
        ("docker.io/corp/app", ["corp/app:latest"], True),
        ("registry.example:5000/app", ["registry.example:5000/app:latest"], True),
        ("registry.example:5000/app:1", ["registry.example:5000/app:2"], False),
        (NUMBER, [], True),
        (NUMBER.removeprefix("sha256:")[:12], [], True),
        ("nginx", [], False),
    ],
)
def test_a_name_is_compared_as_dockerd_lists_it(typed: str, tags: list[str], *, is_kept: bool) -> None:
    found = make_again.container(inspected(config={"Image": typed}), {**IMAGE, "RepoTags": tags})

    assert f"docker create --name web-again {typed if is_kept else NUMBER} && " in found.command
    assert bool(found.left) is not is_kept


def test_what_no_option_of_a_network_says_is_named() -> None:
    networks = {"mynet": {"NetworkID": "b" * 64, "Links": ["db:db"], "DriverOpts": {"a": "b"}, "Gateway": "10.0.0.1"}}
    found = inspected(config={"MacAddress": "02:00:00:00:00:01"}, NetworkSettings={"Networks": networks})

    assert make_again.container(found, IMAGE).left == ("MacAddress", "Links of mynet", "DriverOpts of mynet")


def test_a_network_that_is_named_by_its_number_is_connected_once() -> None:
    networks = {"mynet": {"NetworkID": "b" * 64, "IPAMConfig": {"IPv4Address": "10.0.0.7"}}}
    found = inspected(host={"NetworkMode": "b" * 64}, NetworkSettings={"Networks": networks})

    command = make_again.container(found, IMAGE).command

    assert f"--network {'b' * 64} --ip 10.0.0.7 nginx:1.27" in command
    assert "network connect" not in command


def test_another_engine_is_named_in_every_step() -> None:
    command = make_again.container(inspected(), IMAGE, "docker --host unix:///x").command

    assert command.count("docker --host unix:///x ") == command.count("docker ") == 5


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param({"Hostname": "shop"}, "--hostname shop", id="hostname"),
        pytest.param({"User": "1000:1000"}, "--user 1000:1000", id="user"),
        pytest.param({"WorkingDir": "/srv"}, "--workdir /srv", id="workdir"),
        pytest.param({"StopSignal": "SIGINT"}, "--stop-signal SIGINT", id="stop-signal"),
        pytest.param({"StopTimeout": 0}, "--stop-timeout 0", id="stop-timeout"),
        pytest.param({"Tty": True, "OpenStdin": True}, "--tty --interactive", id="terminal"),
        pytest.param({"Labels": {"maintainer": "NGINX", "a": "b c"}}, "--label 'a=b c'", id="labels"),
        pytest.param({"ExposedPorts": {"80/tcp": {}, "9/udp": {}}}, "--expose 9/udp", id="ports"),
        pytest.param({"Entrypoint": ["/bin/sh", "-c"]}, "--entrypoint /bin/sh", id="entrypoint"),
        pytest.param({"Entrypoint": None}, "--entrypoint ''", id="no-entrypoint"),
    ],
)
def test_what_differs_from_its_image(config: Mapping[str, Any], says: str) -> None:
    assert options(inspected(config=config)) == says


@pytest.mark.parametrize(
    ("host", "says"),
    [
        pytest.param({"NetworkMode": "host"}, "--network host", id="network"),
        pytest.param({"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}}, "--restart unless-stopped", id="restart"),
        pytest.param({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}, "--restart on-failure:3", id="restart-some-times"),
        pytest.param({"Binds": ["/srv:/data:ro", "cache:/cache"]}, "--volume /srv:/data:ro --volume cache:/cache", id="volumes"),
        pytest.param(
            {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}]},
            "--mount type=bind,source=/a,target=/b,readonly",
            id="mount",
        ),
        pytest.param({"Tmpfs": {"/run": "size=1m", "/x": ""}}, "--tmpfs /run:size=1m --tmpfs /x", id="tmpfs"),
        pytest.param({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}, "--publish 8080:80", id="port"),
        pytest.param({"PortBindings": {"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}]}}, "--publish 127.0.0.1:53:53/udp", id="port-of-an-address"),
        pytest.param({"PortBindings": {"80/tcp": [{"HostIp": "::1", "HostPort": "81"}]}}, "--publish '[::1]:81:80'", id="port-of-ipv6"),
        pytest.param({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]}}, "--publish 80", id="any-port"),
        pytest.param({"Privileged": True, "Init": True}, "--privileged --init", id="flags"),
        pytest.param({"CapAdd": ["NET_ADMIN"], "Dns": ["1.1.1.1"]}, "--cap-add NET_ADMIN --dns 1.1.1.1", id="lists"),
        pytest.param({"Memory": 268435456, "NanoCpus": 1500000000}, "--memory 268435456 --cpus 1.5", id="limits"),
        pytest.param({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}, "--ulimit nofile=1:2", id="ulimit"),
        pytest.param(
            {"Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}]},
            "--device /dev/fuse:/dev/fuse:rwm",
            id="device",
        ),
        pytest.param({"LogConfig": {"Type": "journald", "Config": {"tag": "x"}}}, "--log-driver journald --log-opt tag=x", id="log"),
        pytest.param({"Sysctls": {"net.core.somaxconn": "1"}}, "--sysctl net.core.somaxconn=1", id="sysctl"),
        pytest.param({"SecurityOpt": ["no-new-privileges"]}, "--security-opt no-new-privileges", id="security"),
        pytest.param({"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]}, "--gpus all", id="gpus"),
    ],
)  # fmt: skip
def test_what_differs_from_what_docker_does_by_itself(host: Mapping[str, Any], says: str) -> None:
    found = inspected(host=host)

    assert options(found) == says
    assert docker_create.left(found, IMAGE) == ()


def test_its_own_volume_is_kept_by_its_name() -> None:
    mounts = [
        {"Type": "volume", "Name": "f00", "Destination": "/var/lib/db"},
        {"Type": "volume", "Name": "cache", "Destination": "/cache"},
        {"Type": "bind", "Source": "/srv", "Destination": "/data"},
    ]

    assert options(inspected(host={"Binds": ["cache:/cache"]}, Mounts=mounts)) == (
        "--volume cache:/cache --volume f00:/var/lib/db"
    )


def test_its_networks_its_addresses_and_its_names_there() -> None:
    networks = {
        "shop": {"Aliases": ["www", ID[:12]], "IPAMConfig": {"IPv4Address": "172.20.0.9"}},
        "back": {"Aliases": ["api"], "IPAMConfig": None},
    }
    found = inspected(host={"NetworkMode": "shop"}, NetworkSettings={"Networks": networks})

    assert options(found) == "--network shop --ip 172.20.0.9 --network-alias www"
    assert " && docker network connect --alias api back web-again && docker stop web " in (
        make_again.container(found, IMAGE).command
    )


@pytest.mark.parametrize(
    ("config", "behind"),
    [
        pytest.param({}, [], id="of-the-image"),
        pytest.param({"Cmd": ["sh", "-c", "a b"]}, ["sh", "-c", "a b"], id="its-own"),
        pytest.param({"Entrypoint": ["sh", "-c"], "Cmd": ["x"]}, ["-c", "x"], id="behind-its-own-entrypoint"),
    ],
)
def test_a_container_that_is_made_again_runs_the_same(config: Mapping[str, Any], behind: list[str]) -> None:
    words = docker_create.words(inspected(config=config), IMAGE, "web-again")

    assert words[words.index("nginx:1.27") + 1 :] == behind


def test_what_was_named_by_a_digest_is_named_by_its_number() -> None:
    found = inspected(config={"Image": "nginx@sha256:0123"})

    assert docker_create.words(found, IMAGE, "web-again")[-1] == NUMBER


@pytest.mark.parametrize(
    ("config", "host", "left"),
    [
        pytest.param({"Healthcheck": {"Test": ["CMD", "true"]}}, {}, ["its health check"], id="health-check"),
        pytest.param({"Env": ["KEY=a\nb"]}, {}, ["the variable KEY, which has several lines"], id="several-lines"),
        pytest.param({}, {"Links": ["/db:/web/db"]}, ["Links"], id="what-nobody-here-knows"),
        pytest.param({}, {"SecurityOpt": ['seccomp={"a":1}']}, ["SecurityOpt"], id="a-profile-without-its-file"),
        pytest.param({}, {"DeviceRequests": [{"Count": 1}]}, ["DeviceRequests"], id="some-gpus"),
        pytest.param(
            {}, {"Mounts": [{"Type": "bind", "BindOptions": {"Propagation": "rslave"}}]}, ["options of a mount"], id="mount"
        ),
    ],
)  # fmt: skip
def test_what_the_command_cannot_say(config: Mapping[str, Any], host: Mapping[str, Any], left: list[str]) -> None:
    assert list(docker_create.left(inspected(config=config, host=host), IMAGE)) == left


def test_an_image_that_is_gone_is_named_and_not_pulled_silently() -> None:
    said, *others = docker_create.left(inspected(), {})

    assert said == "its image, which is gone: nginx:1.27 is pulled, or is another one"
    assert "image" not in "".join(others)


COMPOSE = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "web",
    "com.docker.compose.project.working_dir": "/home/al/my shop",
    "com.docker.compose.project.config_files": "/home/al/my shop/compose.yaml,/home/al/my shop/dev.yaml",
    "com.docker.compose.version": "2.26.1",
    "com.docker.compose.oneoff": "False",
}
OF_THE_SHOP = (
    "--project-name shop --project-directory '/home/al/my shop' --file '/home/al/my shop/compose.yaml'"
    " --file '/home/al/my shop/dev.yaml'"
)


@pytest.mark.parametrize(
    ("labels", "count", "is_up", "command"),
    [
        pytest.param({}, 1, True, f"docker compose {OF_THE_SHOP} up --detach --no-deps --force-recreate web", id="one"),
        pytest.param(
            {}, 3, True, f"docker compose {OF_THE_SHOP} up --detach --no-deps --force-recreate --scale web=3 web", id="three"
        ),
        pytest.param({}, 1, False, f"docker compose {OF_THE_SHOP} up --no-start --no-deps --force-recreate web", id="down"),
        pytest.param(
            {"com.docker.compose.version": "1.29.2"},
            1,
            True,
            f"docker-compose {OF_THE_SHOP} up --detach --no-deps --force-recreate web",
            id="the-first-compose",
        ),
        pytest.param(
            {"com.docker.compose.project.environment_file": "/e"},
            1,
            True,
            f"docker compose {OF_THE_SHOP} --env-file /e up --detach --no-deps --force-recreate web",
            id="with-an-env-file",
        ),
        pytest.param(
            {"com.docker.compose.project.config_files": "-", "com.docker.compose.project.working_dir": ""},
            1,
            True,
            "docker compose --project-name shop up --detach --no-deps --force-recreate web",
            id="from-a-pipe",
        ),
    ],
)  # fmt: skip
def test_a_service_of_compose(labels: Mapping[str, str], count: int, is_up: bool, command: str) -> None:
    found = inspected(config={"Labels": {**COMPOSE, **labels}}, State={"Running": is_up})

    assert make_again.service_of(found) == ("shop", "web")
    assert make_again.service([found] * count).command == command


def test_what_compose_made_for_one_run_is_no_service() -> None:
    found = inspected(config={"Labels": {**COMPOSE, "com.docker.compose.oneoff": "True"}})

    assert make_again.service_of(found) is None
    assert make_again.is_one_off(found)


def test_the_first_compose_asks_another_engine_too() -> None:
    found = inspected(config={"Labels": {**COMPOSE, "com.docker.compose.version": "1.29.2"}})

    command = make_again.service([found], "docker --host unix:///run/docker.sock").command

    assert command.startswith("docker-compose --host unix:///run/docker.sock --project-name shop ")


def test_what_only_an_image_says_of_compose_is_not_followed() -> None:
    evil = {**COMPOSE, "devcontainer.local_folder": "/tmp/evil"}

    plain = make_again.with_own_labels(inspected(config={"Labels": evil}), {"Config": {"Labels": evil}})

    assert make_again.labels_of(plain) == {}
    assert make_again.service_of(plain) is None
    assert make_again.dev_container(plain) is None


def test_project_and_service_stand_in_an_image_that_compose_built_and_count_for_its_container() -> None:
    of_image = {name: COMPOSE[name] for name in ("com.docker.compose.project", "com.docker.compose.service")}

    own = make_again.with_own_labels(inspected(config={"Labels": COMPOSE}), {"Config": {"Labels": of_image}})

    assert make_again.service_of(own) == ("shop", "web")


def test_a_dev_container_is_made_again_by_its_own_tool() -> None:
    found = inspected(config={"Labels": {"devcontainer.local_folder": "/home/al/my app"}})

    again = make_again.dev_container(found)

    assert again is not None
    assert again.command == "devcontainer up --workspace-folder '/home/al/my app' --remove-existing-container"
    assert make_again.dev_container(inspected()) is None


@pytest.mark.parametrize(
    ("container", "name"),
    [
        pytest.param("buildx_buildkit_multi0", "multi", id="the-first-node"),
        pytest.param("buildx_buildkit_b10", "b1", id="one-that-ends-in-a-digit"),
        pytest.param("web", "", id="none"),
    ],
)
def test_the_name_of_a_builder(container: str, name: str) -> None:
    assert make_again.builder_of(inspected(container)) == name


def test_a_builder_is_given_the_settings_itself_and_keeps_its_cache() -> None:
    config = {"Image": "moby/buildkit:buildx-stable-1", "Env": ["PATH=/usr/bin", "HTTP_PROXY=http://old:1"]}
    image = {"Config": {"Env": ["PATH=/usr/bin"]}}
    found = inspected("buildx_buildkit_multi0", config=config)

    assert make_again.builder(found, image, OFFICE).command == (
        "docker buildx inspect multi >/dev/null && docker rm --force buildx_buildkit_multi0"
        " && docker buildx create --name multi --node multi0"
        " --driver-opt env.HTTP_PROXY=http://proxy.corp.example:3128"
        " --driver-opt env.http_proxy=http://proxy.corp.example:3128"
        " --driver-opt env.HTTPS_PROXY=http://proxy.corp.example:3128"
        " --driver-opt env.https_proxy=http://proxy.corp.example:3128"
        " --driver-opt '\"env.NO_PROXY=127.0.0.0/8,localhost\"'"
        " --driver-opt '\"env.no_proxy=127.0.0.0/8,localhost\"'"
    )
    assert make_again.builder(found, image, DIRECT).command == (
        "docker buildx inspect multi >/dev/null && docker rm --force buildx_buildkit_multi0"
        " && docker buildx create --name multi --node multi0"
        " --driver-opt image=moby/buildkit:buildx-stable-1"
    )


def test_a_builder_keeps_its_image_its_network_and_its_other_variables() -> None:
    config = {"Image": "corp/buildkit:1", "Env": ["BUILDKIT_STEP_LOG_MAX_SIZE=1"]}
    found = inspected("buildx_buildkit_multi0", config=config, host={"NetworkMode": "host"})

    assert make_again.builder(found, {}, DIRECT).command.endswith(
        " --driver-opt image=corp/buildkit:1 --driver-opt network=host --driver-opt env.BUILDKIT_STEP_LOG_MAX_SIZE=1"
    )


def test_an_image_gets_a_layer_that_empties_what_it_has() -> None:
    carries = carried(["HTTP_PROXY=http://old:1", "no_proxy=db", "https_proxy="])

    assert make_again.image("corp/app:1", carries).command == (
        "printf 'FROM %s\\nENV HTTP_PROXY= no_proxy=\\n' corp/app:1 | docker build --tag corp/app:1 -"
    )
