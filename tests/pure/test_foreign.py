"""What others wrote into daemon.json: whether dockerd would start with it, as far as reading tells."""

from __future__ import annotations

import msgspec
import pytest

from agent.decide.foreign import condition, held, refusal
from agent.decide.plan import Holding, OwnedDaemonJson, plan
from agent.decide.put_back import put_back
from agent.decide.restart import Restarting, When
from agent.targets import daemon_json, drop_in
from agent.values.condition import Code
from agent.values.dockerd import FileHistory, Reality
from agent.values.policy import Docker, Method
from agent.values.settings import DIRECT, Settings, Texts, settings

from .test_plan import OFFICE, docker_with, planned, texts, with_drop_in, written

UNIT = ("-H", "fd://", "--containerd=/run/containerd/containerd.sock")
WRITTEN_SINCE = FileHistory(is_tried=False, is_good_known=True)
DAEMON_JSON = Docker(method=Method.DAEMON_JSON)


def with_file(text: str | None, file: FileHistory = WRITTEN_SINCE, *, takes_proxies: bool = True) -> Reality:
    return docker_with(daemon_json=text, file=file, arguments=UNIT, takes_proxies=takes_proxies)


def old_with_file(text: str | None) -> Reality:
    return with_file(text, takes_proxies=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            '{"registry-mirrors": ["ftp://mirror.example.net"]}',
            'invalid mirror: unsupported scheme "ftp" in "ftp://mirror.example.net"',
            id="no-http",
        ),
        pytest.param(
            '{"registry-mirrors": ["https://good", "mirror.example.net"]}',
            'invalid mirror: unsupported scheme "" in "mirror.example.net"',
            id="no-scheme",
        ),
        pytest.param(
            '{"registry-mirrors": ["https://m/?a=b"]}',
            'invalid mirror: query or fragment at end of the URI "https://m/?a=b"',
            id="query",
        ),
        pytest.param(
            '{"registry-mirrors": ["https://u:Zecret9@m"]}',
            'invalid mirror: username/password not allowed in URI "https://•••@m"',
            id="user",
        ),
        pytest.param(
            '{"default-runtime": "gone"}', "specified default runtime 'gone' does not exist", id="runtime-of-nobody"
        ),
    ],
)
def test_what_dockerd_says_only_when_it_starts_is_said_before(text: str, words: str) -> None:
    for reality in (with_file(text), old_with_file(text)):
        found = refusal(text, reality)

        assert found is not None
        assert words in found.wrong or "path, query, or fragment" in found.wrong
        assert condition(found).code is Code.FOREIGN_CONFIG_BROKEN


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "\ufeff{}",
        '{"registry-mirrors": ["http://m", "https://m:5000/v2/"]}',
        '{"registry-mirrors": []}',
        '{"registry-mirrors": null}',
        '{"default-runtime": "runc"}',
        '{"default-runtime": "io.containerd.runc.v2"}',
        '{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}',
        '{"hosts": ["tcp://0.0.0.0:2376"]}',  # `--validate` knows
    ],
)
def test_what_it_starts_with_is_not_held_back(text: str | None) -> None:
    assert refusal(text, with_file(text)) is None


def test_a_runtime_that_a_flag_defines_is_one() -> None:
    text = '{"default-runtime": "fast"}'

    reality = msgspec.structs.replace(with_file(text), arguments=(*UNIT, "--add-runtime", "fast=/usr/bin/fast"))

    assert refusal(text, reality) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "EOF"),
        (" \n", "EOF"),
        ("\ufeff{}", "invalid character 'ï' looking for beginning of value"),
        (
            '{"hosts": ["unix:///var/run/docker.sock"]}',
            "the following directives are specified both as a flag and in the configuration file: hosts",
        ),
        ('{"containerd": "/run/c.sock"}', "both as a flag and in the configuration file: containerd"),
        ('{"registry-mirrors": ["https://m/x"]}', "path, query, or fragment at end of the URI"),
        ('{"proxies": {"default": {}}}', "don't match any configuration option: proxies"),
    ],
)
def test_a_docker_before_23_cannot_be_asked_and_is_known(text: str, words: str) -> None:
    found = refusal(text, old_with_file(text))

    assert found is not None
    assert words in found.wrong


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("--label=a", "labels"), ("--insecure-registry", "insecure-registries"), ("-D", "debug"), ("-lwarn", "log-level"),
        ("--dns=1.1.1.1", "dns"), ("--log-opt", "log-opts"), ("--registry-mirror=https://m", "registry-mirrors"),
    ],
)  # fmt: skip
def test_a_flag_and_its_key(flag: str, key: str) -> None:
    text = f'{{"{key}": []}}'
    reality = msgspec.structs.replace(old_with_file(text), arguments=(flag,))

    found = refusal(text, reality)

    assert found is not None
    assert found.wrong.count(key) == 1
    assert refusal('{"storage-opts": []}', reality) is None


def test_what_dockerd_runs_with_is_worth_more_than_what_is_known_of_it() -> None:
    text = '{"default-runtime": "from-a-plugin"}'

    assert refusal(text, with_file(text, FileHistory(is_tried=True))) is None
    assert refusal(text, with_file(text)) is not None


def test_what_a_dockerd_did_not_start_with_is_not_tried_again() -> None:
    text = '{"data-root": "/gone"}'

    found = refusal(text, with_file(text, FileHistory(False, True, "/etc/docker/daemon.json.refused-by-dockerd")))

    assert found is not None
    assert "/etc/docker/daemon.json.refused-by-dockerd" in found.wrong


# Whether it is risked.


@pytest.mark.parametrize(
    ("file", "text", "is_now", "waits"),
    [
        pytest.param(FileHistory(False, False), "{}", False, True, id="nobody-knows"),
        pytest.param(FileHistory(False, False), "{}", True, False, id="a-person-says-now"),
        pytest.param(FileHistory(False, True), "{}", False, False, id="there-is-one-to-go-back-to"),
        pytest.param(FileHistory(True, False), "{}", False, False, id="dockerd-started-with-it"),
        pytest.param(FileHistory(None, False), "{}", False, False, id="cannot-be-told"),
        pytest.param(FileHistory(False, False), None, False, False, id="no-file"),
    ],
)
def test_a_file_that_no_dockerd_has_started_with_is_risked_where_there_is_another(
    file: FileHistory, text: str | None, is_now: bool, waits: bool
) -> None:
    due = Restarting(When.NOW, "no container runs")
    reality = with_file(text, file)

    restart = plan(OFFICE, reality, Docker(), OwnedDaemonJson(), is_asked_now=is_now).restart

    assert restart is not None
    assert (restart.when is When.LATER) is waits
    assert ("no version is known that Docker starts with" in restart.because) is waits
    assert (held(due, reality, is_asked_now=is_now) == due) is not waits


def test_what_waits_already_says_why_it_does() -> None:
    later = Restarting(When.LATER, "1 container runs")

    assert held(later, with_file("{}", FileHistory(False, False)), is_asked_now=False) == later


def test_taking_everything_back_does_not_risk_it_either() -> None:
    environment = drop_in.edit(OFFICE)
    reality = with_drop_in(OFFICE, daemon_json="{}", file=FileHistory(False, False))

    found = put_back({}, {reality.environment_file_path: environment}, reality, Docker(), is_asked_now=False)
    made = found.plan

    assert made.edits
    assert made.restart is not None
    assert made.restart.when is When.LATER
    assert found.by_hand == "systemctl restart docker.service"


# What is written.

REFUSED = '{"registry-mirrors": ["ftp://bad"]}'
OTHER = settings("http://other:1", "http://other:1", "localhost")


def test_nothing_of_ours_is_written_into_it_and_the_old_place_stays() -> None:
    reality = with_drop_in(OFFICE, daemon_json=REFUSED, file=WRITTEN_SINCE)

    made = planned(OTHER, reality, DAEMON_JSON)

    assert made.edits == ()
    assert made.restart is not None
    assert made.restart.when is When.LATER
    assert made.condition is not None
    assert made.condition.code is Code.FOREIGN_CONFIG_BROKEN


def test_what_dockerd_said_when_it_was_asked_counts_as_much() -> None:
    said = refusal(REFUSED, with_file(REFUSED))
    reality = with_file('{"hosts": []}')

    made = plan(OFFICE, reality, DAEMON_JSON, OwnedDaemonJson(), is_asked_now=False, holding=Holding(foreign=said))

    assert said is not None
    assert made.condition is not None
    assert (made.edits, made.condition.target) == ((), said.path)
    assert made.condition.text == (
        'dockerd would not start with it: invalid mirror: unsupported scheme "ftp" in "ftp://bad"; '
        "nothing is written to it; Docker is running, but would not survive its next restart"
    )
    assert not made.acts


def test_the_drop_in_is_written_all_the_same() -> None:
    made = planned(OFFICE, with_file(REFUSED))

    assert written(made)["dockerd.env"] == drop_in.edit(OFFICE)
    assert not made.restarts


def test_what_is_ours_may_always_be_taken_out_of_it() -> None:
    both = daemon_json.edit(REFUSED, OFFICE, Texts())

    made = planned(OTHER, with_file(both), Docker(method=Method.DROP_IN), OwnedDaemonJson(True, REFUSED))

    assert written(made)["daemon.json"] == REFUSED
    assert written(made)["dockerd.env"] == drop_in.edit(OTHER)
    assert not made.restarts


def test_not_even_a_person_who_says_now_makes_it_start() -> None:
    made = plan(OFFICE, with_file(REFUSED), Docker(), OwnedDaemonJson(), is_asked_now=True)

    assert not made.restarts


@pytest.mark.parametrize("desired", [OFFICE, DIRECT])
def test_our_own_half_is_not_what_is_judged(desired: Settings) -> None:
    """A Docker before 23 that finds our key in its file: it is taken out, and nothing stands in the way of that."""
    ours = '{"proxies": {"http-proxy": "http://office:3128"}}'
    reality = docker_with(texts(OFFICE), daemon_json=ours, takes_proxies=False, arguments=UNIT)

    made = planned(desired, reality, owned=OwnedDaemonJson(True, "{}"))

    assert written(made)["daemon.json"] == "{}"
    assert made.condition is None
