"""The pages that a user reads, their blocks, and how each line that they tell people to type is tried.

Not known here: what has to hold of them (tests/pure/test_pages.py), and the laptop on which the lines are typed that no
other test types (tests/machine/test_typed.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from agent.cli.commands import COMMANDS

from .sources import ROOT

PAGES: Final = {
    str(path.relative_to(ROOT)): path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
}
FENCED: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
COMMENT: Final = re.compile(r"(?m)(?:^|\s+)# .*$")
# What a person would paste, within a sentence or a cell of a table.
INLINE: Final = re.compile(r"`((?:sudo|docker|systemctl|journalctl|resolvectl|timedatectl) [^`]*|timedatectl)`")


def blocks(text: str, *languages: str) -> Iterator[str]:
    for indent, language, block in FENCED.findall(text):
        if language in languages:
            yield re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)


def typed(page: str) -> Iterator[str]:
    """What the page tells people to type: whole commands, without the comments behind them."""
    text = PAGES[page]
    for block in blocks(text, "sh", "bash"):
        yield from block_typed(block)
    for block in blocks(text, "console"):
        yield from (line[2:] for line in block.split("\n") if line.startswith("$ "))
    if page == "docs/troubleshooting.md":
        yield from INLINE.findall(FENCED.sub("", text))


def block_typed(block: str) -> Iterator[str]:
    """By the line; what goes over several is one: a script, an open quote, a text up to END, an `if`, a loop."""
    if block.startswith("#!"):
        yield block
        return
    lines = iter(block.rstrip("\n").split("\n"))
    for line in lines:
        command = line
        while _is_open(command):
            following = next(lines, None)
            if following is None:
                raise AssertionError(f"a quote or a loop is left open: {command}")
            command += f"\n{following}"
        if bare := COMMENT.sub("", command).strip():
            yield bare


def _is_open(command: str) -> bool:
    if "<<'END'" in command:
        return not command.endswith("\nEND")
    begun, ended = re.findall(r"(?m)^if |\| while ", command), re.findall(r"(?m)^(?:fi|done)$", command)
    return len(begun) > len(ended) or COMMENT.sub("", command).count("'") % 2 == 1


def first_line(command: str) -> str:
    return command.partition("\n")[0]


HERE: Final = "tests/machine/test_typed.py::test_what_the_pages_tell_people_to_type_does_what_they_say"
FOLLOWED: Final = (
    "tests/machine/test_for_others.py"
    "::test_a_users_own_script_runs_as_the_user_when_the_choice_changes_and_metrics_are_collected"
)
_EVERY: Final = "tests/loopback/test_every_command.py::test_an_example_ends_as_documented_and_prints_nothing_but_ascii"
_THERE_AND_BACK: Final = "tests/machine/test_install.py::test_there_and_back_again"
_DEB: Final = "tests/machine/test_deb.py::test_installed_by_apt_it_serves_in_every_place_and_leaves_what_was_there"
_OWN: Final = "tests/machine/test_own_docker.py::test_uninstall_leaves_nothing_of_it_but_the_policy_and_the_log"
_NAMED: Final = "named as what somebody does, and not told to be typed"
_WORDS: Final = (
    "attach,build,buildx ls,compose build,compose restart,compose up -d,compose up -d --force-recreate,exec,history,"
    "info,inspect,pull,restart,run,start"
)
_FETCHES: Final = "fetches a package of Debian's"
_CI: Final = "it is the tests: .ci/run"

# By its first line: the test that types it, or why none does.
TRIED: Final[Mapping[str, str]] = {
    **{
        f"{root}docker-proxy-agent {example.words}": _EVERY
        for command in COMMANDS.values()
        for example in command.examples
        for root in ("", "sudo ")
    },
    ".venv/bin/pytest tests/pure/test_choose.py": _CI,
    ".venv/bin/pytest tests/pure/test_choose.py -k preferred-just-back": _CI,
    'sudo .venv/bin/pytest tests/machine/test_roam.py -k "name and trixie"': _CI,
    "make check": _CI,
    "sudo make test": _CI,
    "make demo": "tests/loopback/test_demo.py::test_every_place_is_seen_and_nothing_stays_behind",
    "docker pull busybox": "tests/machine/test_readme.py::test_what_readme_shows_is_what_a_laptop_prints",
    # Install, and remove.
    "sudo make install": _THERE_AND_BACK,
    "sudo --preserve-env=https_proxy make install": _THERE_AND_BACK,
    "make wheelhouse PYTHONS=3.13": "fetches from PyPI; the machine tests install from it (lab/wheelhouse.py)",
    "sudo make install WHEELHOUSE=wheelhouse": _THERE_AND_BACK,
    "sudo make uninstall": _THERE_AND_BACK,
    "sudo docker-proxy-agent init --add-network vpn": _DEB,
    "sudo install -m 644 config.example.toml /etc/docker-proxy-agent/config.toml": HERE,
    "sudo apt install ./docker-proxy-agent_0.1.0_all.deb": _DEB,
    "sudo systemctl enable --now docker-proxy-agent": HERE,
    "sudo apt remove docker-proxy-agent": _DEB,
    "sudo apt purge docker-proxy-agent": _DEB,
    "sudo apt install debhelper dh-python python3-venv make": _FETCHES,
    "make deb": "tests/machine/test_deb.py::test_a_debian_developer_finds_nothing_to_say_and_the_same_bytes_twice",
    "make deb VERSION=0.1.0+mine1": "as `make deb`: the machine tests build two versions (lab/deb.py)",
    "docker-proxy-agent install --user": _OWN,
    "install -D -m 644 config.example.toml ~/.config/docker-proxy-agent/config.toml": HERE,
    "docker-proxy-agent status --user": _OWN,
    "docker-proxy-agent uninstall --user": _OWN,
    # Policy, roll-out, monitoring, audit.
    "sudo install -m 600 /dev/stdin /etc/docker-proxy-agent/corp.password": HERE,
    "px --pac=http://wpad.corp.example/wpad.dat --port=3128": "a program of others, which no Debian has",
    "sudo systemctl disable --now docker-proxy-agent": HERE,
    "sudo systemctl daemon-reload": HERE,
    "sudo systemctl enable --now docker-proxy-agent-metrics.timer": FOLLOWED,
    "sudo systemctl disable --now docker-proxy-agent-metrics.timer": FOLLOWED,
    "sudo rm /etc/systemd/system/docker-proxy-agent-metrics.* "
    "/var/lib/prometheus/node-exporter/docker-proxy-agent.prom": FOLLOWED,
    "sudo docker-proxy-agent audit report --since monday -o week.html": HERE,
    "sudo apt install systemd-journal-remote": _FETCHES,
    "sudo mkdir -p /etc/systemd/journal-upload.conf.d": HERE,
    r"printf '[Upload]\nURL=https://logs.corp.example:19532\n' | "
    "sudo tee /etc/systemd/journal-upload.conf.d/logs.conf": HERE,
    "sudo systemctl enable --now systemd-journal-upload": "needs that package, which a box does not have",
    # Recipes.
    "i3status | while read -r line; do": "tests/loopback/test_bars.py::test_i3status",
    """PS1='[$(docker-proxy-agent status --short)] '"$PS1\"""": "tests/loopback/test_bars.py::test_a_prompt_of_bash",
    "if [ -r /run/docker-proxy-agent/choice.env ]; then": "tests/loopback/test_choice_file.py::"
    "test_the_lines_of_the_page_for_a_shell_export_what_the_file_says",
    "#!/bin/sh": "tests/loopback/test_choice_file.py::test_the_script_of_the_page_sets_and_takes_away",
    "chmod +x ~/.local/bin/docker-proxy-choice": FOLLOWED,
    "systemctl --user daemon-reload": FOLLOWED,
    "systemctl --user enable --now docker-proxy-choice.path docker-proxy-choice.service": FOLLOWED,
    # Troubleshooting.
    "sudo cp corp-ca.crt /usr/local/share/ca-certificates/ && sudo update-ca-certificates": HERE,
    "sudo trust anchor corp-ca.crt": "Fedora's and Arch's own",
    "docker login --username NAME": "tests/machine/test_clients.py"
    "::test_a_docker_login_of_the_real_cli_keeps_the_proxies",
    "export BUILDKIT_NO_CLIENT_TOKEN=1": "tests/machine/test_clients.py"
    "::test_run_and_build_follow_the_laptop_for_root_and_for_users",
    "sudo systemctl restart docker": HERE,
    "sudo systemctl reload docker": HERE,
    "docker exec --env http_proxy= --env https_proxy= --env HTTP_PROXY= --env HTTPS_PROXY= CONTAINER COMMAND": HERE,
    "sudo systemctl reset-failed docker.service docker.socket && sudo systemctl start docker.service": HERE,
    "systemctl cat docker": HERE,
    "sudo systemctl edit --full docker": HERE,
    "sudo systemctl disable --now docker-proxy-relay.socket docker-proxy-relay.service": HERE,
    "systemctl disable --now docker-proxy-agent": HERE,
    "rm -f /etc/systemd/system/docker-proxy-agent.service": HERE,
    "rm -f /etc/systemd/system/docker.service.d/zz-docker-proxy-agent.conf /etc/docker-proxy-agent/dockerd.env": HERE,
    "python3 - /var/lib/docker-proxy-agent <<'END'": HERE,
    "systemctl daemon-reload": HERE,
    "systemctl restart docker": HERE,
    "systemctl disable --now docker-proxy-relay.socket docker-proxy-relay.service docker-proxy-agent-pac.socket": HERE,
    "rm -rf /etc/systemd/system/docker-proxy-relay.* /etc/systemd/system/docker-proxy-agent-pac* "
    "/var/log/docker-proxy-relay": HERE,
    "userdel docker-proxy-relay": HERE,
    "rm -rf /opt/docker-proxy-agent /var/lib/docker-proxy-agent /run/docker-proxy-agent": HERE,
    "rm -f /usr/local/bin/docker-proxy-agent": HERE,
    "find /usr/local/share -name '*docker-proxy-agent*' -delete": HERE,
    "rm -rf /etc/docker-proxy-agent /var/log/docker-proxy-agent": HERE,
    "sudo install -m 600 /dev/stdin FILE": HERE,
    "sudo chmod go-w FILE": HERE,
    "docker history --no-trunc IMAGE": HERE,
    "systemctl status docker": HERE,
    "systemctl status docker-proxy-relay.socket": HERE,
    "journalctl -u docker -n 30": HERE,
    "systemctl status docker-proxy-agent": HERE,
    "journalctl -u docker-proxy-agent": HERE,
    "journalctl -u docker-proxy-agent -n 20": HERE,
    "journalctl -u docker-proxy-relay": HERE,
    "sudo docker-proxy-agent audit --last 20": HERE,
    "sudo docker-proxy-agent init --add-network office2": HERE,
    "docker inspect CONTAINER": _NAMED,
    "sudo systemctl start docker": "as `sudo systemctl restart docker`",
    "sudo docker-proxy-agent audit who": "as with `audit --last`; what it answers: test_audit_questions.py",
    "sudo systemctl restart docker-proxy-relay.socket": "as `disable --now` and `enable --now` of it",
    "sudo docker-proxy-agent audit --event relay-refused": "as with `docker-restarted`",
    "sudo ss -ltnp": "asks the kernel, and nothing of this product",
    "timedatectl": "asks a service that a box cannot have: it has no clock of its own",
    "resolvectl status": "asks systemd-resolved, which a box does not have",
    "sudo resolvectl dns tun0 10.10.0.53": "as `resolvectl status`",
    "sudo resolvectl domain tun0 '~corp.example'": "as `resolvectl status`",
    "sudo ip link set tun0 mtu 1300": "changes a VPN's link, and a box has no VPN of that name",
    "docker login": "tests/machine/test_clients.py::test_a_docker_login_of_the_real_cli_keeps_the_proxies",
    "docker compose up -d --no-deps --force-recreate SERVICE": "Compose is not in the box; what `stale` prints of it: "
    "tests/machine/test_stale.py",
    "docker exec CONTAINER env": HERE,
    'eval "$(docker-proxy-agent env --shell sh)"': "tests/loopback/test_env.py"
    "::test_programs_of_a_shell_go_through_the_proxy",
    'sudo usermod -aG docker "$USER"': "changes an account, which nothing here is about",
    "docker ps --all --quiet | xargs docker inspect --format '{{.Name}} {{.Config.Env}}' "
    "| grep -i 'proxy=[^ ]*@'": HERE,
    "journalctl -u docker --since 9:10": HERE,
    "sudo docker-proxy-agent audit --since 9:10 --until 9:20": HERE,
    "sudo docker-proxy-agent audit --event docker-restarted": HERE,
    "sudo docker-proxy-agent audit --target config.json": HERE,
    "sudo docker-proxy-agent audit --event rolled-back": "as with `docker-restarted`",
    "sudo systemctl unmask docker": "as `systemctl` says; `doctor` prints it: tests/pure/test_doctor.py",
    **dict.fromkeys((f"docker {word}" for word in _WORDS.split(",")), _NAMED),
    **dict.fromkeys(("sudo docker", "systemctl show docker", "sudo --preserve-env=http_proxy,https_proxy"), _NAMED),
}


def how_tried(command: str) -> str | None:
    """None: nobody has said. Those with jq answer questions, and are known where the answers are."""
    if " audit --json | jq " in command:
        return "tests/loopback/test_audit_day.py::test_every_line_of_the_document_is_asked"
    return TRIED.get(first_line(command))
