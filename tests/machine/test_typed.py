"""What the pages tell people to type, typed as it stands there, on one laptop, in the order of a life with it."""

from __future__ import annotations

import re

import pytest

from tests.pages import HERE, PAGES, block_typed, blocks, first_line, how_tried, typed

from .lab.box import Ran
from .lab.laptop import POLICY, Laptop
from .lab.layer import LAB_CA
from .lab.places import HUB_IMAGE
from .lab.wheelhouse import REPOSITORY
from .test_apply import through
from .test_deb import OURS
from .test_init import LOGGED_IN
from .test_roam import is_there

FOLDER = "/home/alice/typed"
SUDO = '#!/bin/sh\nexec "$@"\n'  # a box has none, and everybody who types here is root
PACKAGED, EDITED = "/usr/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service"
FLAG = " --https-proxy=http://flag.example:3128"
LEAKY = "FROM lab/busybox\nENV HTTPS_PROXY=http://alice:hunter2@proxy.corp.example:3128\n"
OFFICE = '[[network]]\nname = "office"\nmatch.gateway = ["10.10.0.1"]\nuse = ["office", "direct"]\n'


class Hand:
    """Types lines of the pages, and knows which."""

    def __init__(self, laptop: Laptop) -> None:
        self._laptop = laptop
        self._lines = {first_line(line): line for page in PAGES for line in typed(page)}
        self.typed: set[str] = set()
        laptop.run("mkdir", FOLDER)
        laptop.write("/usr/local/bin/sudo", SUDO, 0o755)

    def types(self, beginning: str, *, text: str = "", editor: str = "", **words: str) -> str:
        """The one line of the pages that begins so, with words of one's own put for those in capitals; what it prints."""
        [line] = {beginning} & self._lines.keys() or {line for line in self._lines if line.startswith(beginning)}
        self.typed.add(line)
        command = self._lines[line]
        for placeholder, word in words.items():
            assert placeholder in command
            command = command.replace(placeholder, word)
        ran = self._run(command, text, editor)
        assert ran.ok, ran
        return ran.stdout + ran.stderr

    def _run(self, command: str, text: str, editor: str) -> Ran:
        argv = ["env", "-C", FOLDER, "HOME=/root", f"SYSTEMD_EDITOR={editor}", "PAGER=cat"]
        shell = ["script", "-qec", command, "/dev/null"] if editor else ["bash", "-euc", command]
        return self._laptop.run(*argv, *shell, input=text, check=False, timeout=120)


@pytest.mark.trixie
def test_what_the_pages_tell_people_to_type_does_what_they_say(laptop: Laptop) -> None:
    hand = Hand(laptop)
    laptop.write("/home/bob/.docker/config.json", LOGGED_IN, mode=0o600, owner="bob")

    _a_certificate_that_nobody_believes(laptop, hand)
    _a_registry_that_speaks_plain_http(laptop, hand)
    _a_container_with_the_proxy_of_another_place(laptop, hand)
    _a_docker_that_does_not_start(laptop, hand)
    _an_agent(laptop, hand)
    _what_it_says(laptop, hand)
    _back_and_on_again(laptop, hand)
    _removed_by_hand(laptop, hand)

    told = {first_line(line) for page in PAGES for line in typed(page) if how_tried(line) == HERE}
    assert told - hand.typed == set()


def _a_certificate_that_nobody_believes(laptop: Laptop, hand: Hand) -> None:
    laptop.run("cp", LAB_CA, f"{FOLDER}/corp-ca.crt")
    laptop.distrust()
    laptop.plug("home")
    laptop.docker.restart()
    assert "x509: certificate signed by unknown authority" in laptop.docker.pull(HUB_IMAGE).stderr

    hand.types("sudo cp corp-ca.crt")
    hand.types("sudo systemctl restart docker")

    assert laptop.docker.pull(HUB_IMAGE).ok


def _a_registry_that_speaks_plain_http(laptop: Laptop, hand: Hand) -> None:
    registry = "registry.corp.example:5000"
    laptop.write("/etc/docker/daemon.json", f'{{"insecure-registries": ["{registry}"]}}\n')

    hand.types("sudo systemctl reload docker")

    laptop.until(lambda: registry in laptop.docker.cli("info").stdout)
    laptop.run("rm", "/etc/docker/daemon.json")


def _a_container_with_the_proxy_of_another_place(laptop: Laptop, hand: Hand) -> None:
    old = "http://alice:hunter2@proxy.corp.example:3128"
    container = laptop.docker.start_container(*(f"--env={name}={old}" for name in ("http_proxy", "HTTP_PROXY")))
    fetch = "wget -q -O - http://10.99.0.10/hello"
    said = laptop.docker.cli("exec", container.name, *fetch.split(), check=False).stderr
    assert "wget: bad address 'proxy.corp.example" in said

    hello = hand.types("docker exec --env http_proxy= --env https_proxy=", CONTAINER=container.name, COMMAND=fetch)

    assert hello == "hello from the internet\n"
    assert f"HTTP_PROXY={old}\n" in hand.types("docker exec CONTAINER env", CONTAINER=container.name)
    assert f"/{container.name} " in hand.types("docker ps --all --quiet")
    laptop.docker.cli("rm", "--force", container.name)
    laptop.run("docker", "build", "--quiet", "--tag", "leaky", "-", input=LEAKY)
    assert "hunter2" in hand.types("docker history --no-trunc", IMAGE="leaky")


def _a_docker_that_does_not_start(laptop: Laptop, hand: Hand) -> None:
    packaged = laptop.read(PACKAGED)
    laptop.write(PACKAGED, re.sub(r"(?m)^ExecStart=.*$", rf"\g<0>{FLAG}", packaged))
    laptop.write("/etc/docker/daemon.json", '{"proxies": {"https-proxy": "http://file.example:3128"}}\n')
    assert "changed on disk" in hand.types("systemctl status docker")
    hand.types("sudo systemctl daemon-reload")
    laptop.docker.systemctl("restart", "docker.service", check=False)
    said = hand.types("journalctl -u docker -n 30")
    assert "the following directives are specified both as a flag and in the configuration file: https-proxy" in said
    assert FLAG in hand.types("systemctl cat docker")

    laptop.write("/root/takes-the-flag-out", f"#!/bin/sh\nsed -i 's,{FLAG},,' \"$1\"\n", 0o755)
    hand.types("sudo systemctl edit --full docker", editor="/root/takes-the-flag-out")
    hand.types("sudo systemctl reset-failed docker.service docker.socket")

    assert "active (running)" in hand.types("systemctl status docker")
    assert laptop.docker.reports(https="http://file.example:3128")
    laptop.run("rm", EDITED, "/etc/docker/daemon.json")
    laptop.write(PACKAGED, packaged)
    hand.types("systemctl daemon-reload")
    hand.types("systemctl restart docker")


def _an_agent(laptop: Laptop, hand: Hand) -> None:
    laptop.write(f"{FOLDER}/config.example.toml", (REPOSITORY / "config.example.toml").read_text())
    assert laptop.agent("install").ok
    hand.types("install -D -m 644 config.example.toml ~/.config/docker-proxy-agent")
    laptop.run("rm", "-r", "/root/.config/docker-proxy-agent")
    hand.types("sudo install -m 644 config.example.toml /etc/docker-proxy-agent/config.toml")
    hand.types("sudo install -m 600 /dev/stdin /etc/docker-proxy-agent/corp.password", text="hunter2\n")
    password = "/etc/docker-proxy-agent/corp-proxy.password"
    hand.types("sudo install -m 600 /dev/stdin FILE", text="hunter2\n", FILE=password)
    assert laptop.run("stat", "--format=%a %U %s", password).stdout == "600 root 8\n"
    assert laptop.agent("check").ok
    laptop.run("chmod", "664", POLICY)
    open_to_all = f'"{POLICY}" can be written by others (mode 0664)'
    assert open_to_all in laptop.agent("check").stderr

    hand.types("sudo chmod go-w FILE", FILE=POLICY)

    assert open_to_all not in laptop.agent("check").stderr
    _plugged_in(laptop, is_relayed=True)


def _plugged_in(laptop: Laptop, *, is_relayed: bool) -> None:
    relay = "[relay]\nenable = true\n" if is_relayed else ""
    laptop.policy(through(laptop.office.tinyproxy) + relay + OFFICE)
    if not is_relayed:
        return
    laptop.plug("office")
    laptop.until(laptop.docker.reports, https="http://127.0.0.1:3130", within=60)
    laptop.until(is_there, laptop, "office", "office", within=30)


def _what_it_says(laptop: Laptop, hand: Hand) -> None:
    assert "active (running)" in hand.types("systemctl status docker-proxy-agent")
    assert "The network changed: office" in hand.types("journalctl -u docker-proxy-agent")
    assert len(hand.types("journalctl -u docker-proxy-agent -n 20").split("\n")) <= 21
    hand.types("journalctl -u docker --since 9:10")
    hand.types("journalctl -u docker-proxy-relay")
    assert "docker-restarted" in hand.types("sudo docker-proxy-agent audit --last 20")
    hand.types("sudo docker-proxy-agent audit --since 9:10 --until 9:20")
    assert "docker-restarted" in hand.types("sudo docker-proxy-agent audit --event docker-restarted")
    assert "/home/bob/.docker/config.json" in hand.types("sudo docker-proxy-agent audit --target config.json")
    hand.types("sudo docker-proxy-agent audit report --since monday -o week.html")
    assert laptop.read(f"{FOLDER}/week.html").startswith("<!")
    assert 'name = "office2"' in hand.types("sudo docker-proxy-agent init --add-network office2")
    hand.types("sudo mkdir -p /etc/systemd/journal-upload.conf.d")
    hand.types("printf")
    assert laptop.read("/etc/systemd/journal-upload.conf.d/logs.conf").endswith(
        "\nURL=https://logs.corp.example:19532\n"
    )

    assert "active (" in hand.types("systemctl status docker-proxy-relay.socket")
    hand.types("sudo systemctl disable --now docker-proxy-relay.socket docker-proxy-relay.service")
    _plugged_in(laptop, is_relayed=False)
    hand.types("sudo docker-proxy-agent apply --now")
    assert laptop.docker.reports(https=laptop.office.tinyproxy.url)


def _back_and_on_again(laptop: Laptop, hand: Hand) -> None:
    hand.types("sudo systemctl disable --now docker-proxy-agent")
    hand.types("sudo docker-proxy-agent restore")
    assert laptop.docker.reports(http="", https="")
    assert laptop.read("/home/bob/.docker/config.json") == LOGGED_IN
    hand.types("sudo systemctl enable --now docker-proxy-agent")
    laptop.until(laptop.docker.reports, https=laptop.office.tinyproxy.url, within=30)
    laptop.until(is_there, laptop, "office", "office", within=30)


def _removed_by_hand(laptop: Laptop, hand: Hand) -> None:
    """Every line of the last section, in its order."""
    section = PAGES["docs/troubleshooting.md"].partition("\n## Removing it by hand\n")[2]
    lines = [first_line(line) for block in blocks(section, "sh") for line in block_typed(block)]
    shown = {line: hand.types(line) for line in lines}

    originals = shown["python3 - /var/lib/docker-proxy-agent <<'END'"]
    assert "=== /home/bob/.docker/config.json was there\n" in originals
    assert "=== /root/.docker/config.json was not there\n" in originals
    assert laptop.docker.reports(http="", https="")
    assert laptop.run("sh", "-c", OURS).stdout == ""
