"""`env`: its lines in real shells, without an engine, a service or a policy; and what it does not show."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from agent.one_pass.picture import DockerShown, Picture, RelayShown, State, UpstreamShown
from agent.service.status_file import PolicyStatus, StatusFile, status_of
from agent.targets.shells import Shell, exported
from agent.values.paths import Paths

from .installation import Installation, is_offline, knows_no_name, proxy
from .runs import ran

NASTY: Final = "p a'ss\"w%o\\r$d`,@:/#\u00e9!\\"
NASTY_IN_A_URL: Final = "p%20a%27ss%22w%25o%5Cr%24d%60%2C%40%3A%2F%23%C3%A9%21%5C"
NO_PROXY: Final = "*.x.test,.corp.test,10.0.0.0/8,127.0.0.0/8,127.0.0.1,[fd00::1]:8080,localhost"
WITH_PASSWORD: Final = f"http://al%24ice:{NASTY_IN_A_URL}@10.9.9.9:3128"
POLICY: Final = """
[no_proxy]
private_networks = false
always = ["localhost", "127.0.0.0/8", "*.x.test", ".corp.test", "10.0.0.0/8", "[fd00::1]:8080"]
[upstream.corp]
url = "http://10.9.9.9:3128"
username = "al$ice"
password_file = "{password_file}"
[upstream.local]
url = "http://127.0.0.1:7890"
[[network]]
use = ["corp", "direct"]
"""
OTHERS: Final = {"ALL_PROXY": "socks5://stale.test:1", "all_proxy": "socks5://stale.test:1"}
SHOWN: Final = f"{sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"
# As the help says that each takes them.
EVALUATED: Final = {
    "sh": ("sh", "-c", f'eval "$(cat)"; {SHOWN}'),
    "bash": ("bash", "-c", f'eval "$(cat)"; {SHOWN}'),
    "fish": ("fish", "-c", f"source; {SHOWN}"),
}
every_shell = pytest.mark.parametrize("shell", EVALUATED)


def there(shell: str) -> str:
    """Its program. Where everything has to run, it is there."""
    found = shutil.which(shell)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"no {shell} here")
    return found or shell


def evaluated(shell: str, lines: str, home: Path) -> dict[str, str]:
    """The environment of a program that the shell starts afterwards."""
    there(shell)
    done = subprocess.run(
        EVALUATED[shell], input=lines, capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **OTHERS},
    )  # fmt: skip
    assert done.stderr == ""
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    password = tmp_path / "password"
    password.write_text(f"{NASTY}\n")
    password.chmod(0o600)
    file = tmp_path / "config.toml"
    file.write_text(POLICY.format(password_file=password))
    return file


def env(policy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return ran("env", "--policy", str(policy), *words)


@every_shell
@pytest.mark.parametrize(
    "text",
    [NASTY, "two\nlines", "'", "\\", "\\'", "''\\\\", "$(touch /x)`id`", "\u201c\u2019", "~", "=ls", "%self", "!!"],
)
def test_a_shell_gives_exactly_the_text_to_its_programs(tmp_path: Path, shell: str, text: str) -> None:
    lines = exported((("HTTP_PROXY", text), ("ALL_PROXY", "")), Shell("sh" if shell == "bash" else shell))

    found = evaluated(shell, "\n".join(lines), tmp_path)

    assert found["HTTP_PROXY"] == text
    assert "ALL_PROXY" not in found
    assert found["all_proxy"] == OTHERS["all_proxy"]


@every_shell
def test_programs_of_a_shell_go_through_the_proxy(tmp_path: Path, policy: Path, shell: str) -> None:
    kind = "sh" if shell == "bash" else shell
    made = env(policy, "--upstream", "corp", "--shell", kind, "--show-secrets")
    assert (made.returncode, made.stderr) == (0, "")

    found = evaluated(shell, made.stdout, tmp_path)

    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        assert found[name] == WITH_PASSWORD
    assert found["NO_PROXY"] == found["no_proxy"] == NO_PROXY
    assert not {"ALL_PROXY", "all_proxy"} & found.keys()


@every_shell
def test_direct_takes_the_proxy_away(tmp_path: Path, policy: Path, shell: str) -> None:
    made = env(policy, "--upstream", "direct", "--shell", "sh" if shell == "bash" else shell)

    found = evaluated(shell, made.stdout, tmp_path)

    assert not [name for name in found if name.lower().endswith("_proxy")]


@every_shell
@pytest.mark.parametrize(("part", "option"), [("run", "--env"), ("build", "--build-arg")])
def test_docker_gets_what_a_pasted_line_says(tmp_path: Path, policy: Path, shell: str, part: str, option: str) -> None:
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    docker.chmod(0o755)
    made = env(policy, "--upstream", "corp", "--show-secrets", "--json")
    line = json.loads(made.stdout)["lines"][part]

    done = subprocess.run(
        [there(shell), "-c", line], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path,
        env={"PATH": f"{docker.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip

    words = json.loads(done.stdout)
    assert words[0] == part
    assert set(words[1:-1:2]) == {option}
    assert dict(word.split("=", 1) for word in words[2:-1:2]) == {
        "HTTP_PROXY": WITH_PASSWORD, "http_proxy": WITH_PASSWORD, "HTTPS_PROXY": WITH_PASSWORD,
        "https_proxy": WITH_PASSWORD, "NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY, "ALL_PROXY": "", "all_proxy": "",
    }  # fmt: skip


@pytest.mark.parametrize("words", ["", "--json", "--shell sh", "--system linux", "--system linux --json"])
def test_nobody_is_shown_a_user_or_a_password_unasked(policy: Path, words: str) -> None:
    made = env(policy, "--upstream", "corp", *words.split())
    said = made.stdout + made.stderr

    assert made.returncode == 0
    assert not [secret for secret in (NASTY, NASTY_IN_A_URL, "al%24ice", "al$ice") if secret in said]
    assert "--show-secrets" in said or '"hides_password": true' in said


def test_everything_can_be_pasted_or_is_a_comment(policy: Path) -> None:
    made = env(policy, "--upstream", "corp")
    lines = [line for line in made.stdout.split("\n") if line and not line.startswith(("#", " "))]

    assert [line.split(" ")[:2] for line in lines] == [["docker", "run"], ["docker", "build"], ["services:"]]


def test_where_there_is_nothing_but_a_url(tmp_path: Path) -> None:
    made = ran("--root", str(tmp_path), "env", "--url", "http://10.9.9.9:3128", "--json")

    assert (made.returncode, made.stderr) == (0, "")
    shown = json.loads(made.stdout)
    assert shown["programs"] == shown["containers"]
    assert shown["programs"]["https_proxy"] == "http://10.9.9.9:3128"
    assert "10.0.0.0/8" in shown["programs"]["NO_PROXY"].split(",")
    assert [*tmp_path.iterdir()] == []


def test_containers_that_cannot_reach_it_get_no_line_and_the_shell_does(tmp_path: Path) -> None:
    words = ("--root", str(tmp_path), "env", "--url", "http://127.0.0.1:7890")

    of_containers, of_the_shell = ran(*words), ran(*words, "--shell", "sh")

    assert (of_containers.returncode, of_containers.stdout) == (1, "")
    assert "container_url" in of_containers.stderr
    assert of_the_shell.returncode == 0
    assert "export http_proxy=http://127.0.0.1:7890\n" in of_the_shell.stdout


@pytest.mark.needs_root  # to serve at port 53
def test_where_containers_cannot_look_it_up_the_status_says_so(tmp_path: Path) -> None:
    daemon_json = Paths(tmp_path).daemon_json
    daemon_json.parent.mkdir(parents=True)
    daemon_json.write_text('{"dns": ["127.0.0.79"]}')
    words = ("--root", str(tmp_path), "env", "--url", "http://proxy.example:3128")

    with knows_no_name("127.0.0.79"):
        of_containers, of_the_shell = ran(*words), ran(*words, "--shell", "sh")

    assert of_containers.returncode == 1
    assert "containers ask 127.0.0.79 (dns in daemon.json), where proxy.example is not known" in of_containers.stderr
    assert of_the_shell.returncode == 0


def test_a_full_disk_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    words = ("--root", str(tmp_path), "env", "--url", "http://10.9.9.9:3128", "--shell", "sh")
    main = "from agent.cli import main; raise SystemExit(main())"

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", main, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode, done.stderr) == (1, "stdout: cannot be written to: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--upstream", "corb"), 1, 'no upstream "corb"; did you mean "corp"? There are: direct, corp, local'),
        (("--upstream", "corp", "--merge", "x"), 64, "--merge needs --system"),
        (("--upstream", "corp", "--shell", "sh", "--json"), 64, "--shell has no JSON output"),
        (("--url", "http://alice:hunter2@x.test:1"), 64, "contains a user or password"),
        (("--url", ""), 64, "is empty"),
        (("--url", "http://x.test:1", "--upstream", "corp"), 64, "not allowed with"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_can_be_evaluated(
    policy: Path, words: Sequence[str], status: int, said: str
) -> None:
    done = env(policy, *words)

    assert done.returncode == status
    assert said in done.stderr
    assert "hunter2" not in done.stderr
    assert "export" not in done.stdout


def test_a_password_that_only_the_service_knows_is_not_left_out_silently(tmp_path: Path) -> None:
    policy = tmp_path / "config.toml"
    policy.write_text('[upstream.corp]\nurl = "http://x.test:1"\nusername = "a"\npassword_credential = "corp"\n')

    asked, not_asked = (env(policy, "--upstream", "corp", "--shell", "sh", *more) for more in (["--show-secrets"], []))

    assert (asked.returncode, asked.stdout) == (1, "")
    assert "known only to the service" in asked.stderr
    assert "export http_proxy=http://x.test:1\n" in not_asked.stdout


def test_without_a_policy_it_says_what_is_enough(tmp_path: Path) -> None:
    done = ran("--root", str(tmp_path), "env")

    assert (done.returncode, done.stdout) == (1, "")
    assert "--url" in done.stderr


@pytest.mark.parametrize("system", ["windows", "docker-desktop"])
def test_a_file_is_printed_with_our_keys_and_stays_as_it_is(tmp_path: Path, policy: Path, system: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_bytes(b'\xef\xbb\xbf{\r\n  "debug": true,\r\n  "name": "\xc3\xa9"\r\n}\r\n')
    before = file.read_bytes()
    out = tmp_path / "out"
    words = ["env", "--url", "http://10.9.9.9:3128", "--system", system, "--merge", str(file)]

    with out.open("wb") as stream:
        subprocess.run(
            [sys.executable, "-c", "import sys; from agent.cli import main; sys.exit(main(sys.argv[1:]))", *words],
            stdout=stream, check=True, timeout=60, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    made = out.read_bytes()
    assert made.startswith(b'\xef\xbb\xbf{\r\n  "debug": true,\r\n  "name": "\xc3\xa9"')
    assert b"http://10.9.9.9:3128" in made
    assert made.count(b"\n") == made.count(b"\r\n") > before.count(b"\r\n")
    assert file.read_bytes() == before


def test_a_file_with_a_password_is_printed_only_to_who_asks(tmp_path: Path, policy: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    words = ("--upstream", "corp", "--system", "windows", "--merge", str(file))

    refused, made = env(policy, *words), env(policy, *words, "--show-secrets")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--show-secrets" in refused.stderr
    assert json.loads(made.stdout)["proxies"]["http-proxy"] == WITH_PASSWORD


@pytest.mark.skipif(is_offline(), reason="offline, nothing is chosen")
def test_without_a_service_it_is_what_a_pass_would_choose(tmp_path: Path) -> None:
    with proxy() as port, Installation(tmp_path, port) as machine:
        made = machine.ran("env", "--json", "--show-secrets")

        assert (made.returncode, made.stderr) == (0, "")
        shown = json.loads(made.stdout)
        assert shown["upstream"]["name"] == "office"
        assert shown["programs"]["http_proxy"] == f"http://alice:a-secret-of-the-office@127.0.0.1:{port}"
        assert shown["containers"]["http_proxy"] == "http://alice:a-secret-of-the-office@proxy.office.test:3128"
        assert machine.records() == []


def a_status(paths: Paths, upstream: UpstreamShown | None, in_use: str | None, relay: RelayShown | None = None) -> None:
    """What an agent shows: this process stands for it."""
    docker = DockerShown(
        version="26.1.5", phase="running", absence="", method="daemon-json", effective=None, as_wanted=True,
        in_use=in_use, works=None, evidence="", deferred=None,
    )  # fmt: skip
    drawn = Picture(state=State.STEADY, upstream=upstream, docker=docker, relay=relay)
    paths.status.parent.mkdir(parents=True, exist_ok=True)
    StatusFile(paths.status).show(status_of(drawn, PolicyStatus(str(paths.policy)), ()))


@pytest.mark.parametrize(
    ("chosen", "in_use", "url"),
    [
        pytest.param("branch", "office", "http://proxy.branch.test:3128", id="what-the-agent-has-chosen"),
        pytest.param(None, "branch", "http://proxy.branch.test:3128", id="at-a-portal-what-docker-runs-with"),
        pytest.param("direct", "branch", "", id="direct-is-a-choice"),
    ],
)
def test_beside_a_running_agent_it_is_what_that_one_has_chosen(
    tmp_path: Path, chosen: str | None, in_use: str, url: str
) -> None:
    """Nothing is probed: nobody listens at the proxies' port."""
    with Installation(tmp_path, port=1) as machine:
        a_status(machine.paths, UpstreamShown(name=chosen, why="because"), in_use)

        made = machine.ran("env", "--json")

        assert made.returncode == 0
        assert json.loads(made.stdout)["containers"]["https_proxy"] == url


@pytest.mark.parametrize(
    ("words", "is_in_use", "url"),
    [
        pytest.param((), True, "http://127.0.0.1:3130", id="which-is-right-in-every-place"),
        pytest.param((), False, "http://127.0.0.1:1", id="not-before-docker-has-it"),
        pytest.param(("--upstream", "branch"), True, "http://localhost:1", id="unless-another-is-named"),
    ],
)
def test_where_docker_has_the_relay_so_has_the_shell(
    tmp_path: Path, words: tuple[str, ...], is_in_use: bool, url: str
) -> None:
    with Installation(tmp_path, port=1) as machine:
        relay = RelayShown(state="given", upstream="office", generation=1, problem="", in_use=is_in_use)
        a_status(machine.paths, UpstreamShown(name="office", why="because"), "office", relay)

        made = machine.ran("env", "--shell", "sh", *words)
        shown = json.loads(machine.ran("env", "--json", *words).stdout)

    assert f"export HTTPS_PROXY={url}\n" in made.stdout.replace("'", "")
    assert shown["programs"]["https_proxy"] == url
    # Its password stays with the relay, so none is missing.
    assert ("--show-secrets" in made.stderr) is (not words and not is_in_use)


@pytest.mark.skipif(is_offline(), reason="offline, nothing is chosen")
def test_where_nothing_works_it_asks_for_a_name(tmp_path: Path) -> None:
    with Installation(tmp_path, port=1) as machine:
        a_status(machine.paths, UpstreamShown(name="gone-from-the-policy", why="because"), "gone-as-well")

        made = machine.ran("env", "--shell", "sh")

        assert (made.returncode, made.stdout) == (1, "")
        assert "--upstream NAME" in made.stderr
