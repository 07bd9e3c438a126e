"""Completions, asked for in real shells, which find them where a package puts them."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from agent.cli.commands import COMMANDS
from agent.targets.shells import Shell
from tests.loopback.test_env import there
from tests.sources import ROOT

POLICY_FOLDER: Final = "/etc/docker-proxy-agent"
# The last name would be run by a shell that expands what it is given.
POLICY: Final = """\
[upstream.office]
url = "http://10.10.0.2:3128"
  [ upstream."vpn.2" ]
url = "http://10.10.0.3:3128"
[upstream.'$(touch ran)']
#[upstream.commented]
[[network]]
"""
BASH_COMPLETION: Final = Path("/usr/share/bash-completion/bash_completion")
BASH: Final = (
    rf"""
source {BASH_COMPLETION}
"""
    r"""
_completion_loader docker-proxy-agent
said=$(complete -p docker-proxy-agent)
function=${said##*-F }
while IFS= read -r COMP_LINE; do
    echo "> $COMP_LINE"
    COMPREPLY=() COMP_POINT=${#COMP_LINE}
    read -ra COMP_WORDS <<<"$COMP_LINE"
    [[ $COMP_LINE != *" " ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    "${function%% *}" docker-proxy-agent "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
done
"""
)
# Its line editor asks for the completions of each line as soon as there is a prompt, and what it is offered is noted.
ZSHRC: Final = r"""
fpath=($SHARE/zsh/site-functions $fpath)
autoload -U compinit
compinit -D -u
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)* ]]; then
        local -a offered
        builtin compadd -A offered "$@"
        print -rl -- $offered >>$OFFERED
    fi
    builtin compadd "$@"
}
zle-line-init() {
    local line
    while IFS= read -r line; do
        print -r -- "> $line" >>$OFFERED
        BUFFER=$line CURSOR=$#line
        zle list-choices
    done <$ASKED
    exit
}
zle -N zle-line-init
"""
FISH: Final = r"""
while read -l line
    echo "> $line"
    complete -C "$line"
end
"""


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make completions` makes it. The policy that it reads names from is a test's."""
    folder = tmp_path_factory.mktemp("completions")
    subprocess.run(
        [sys.executable, "-m", "generate.completions", str(folder / "share")], cwd=ROOT, check=True, timeout=60
    )
    policy = folder / "policy"
    (policy / "config.d").mkdir(parents=True)
    (policy / "config.toml").write_text(POLICY)
    (policy / "config.d/10-lab.toml").write_text('[upstream.lab]\nurl = "http://10.10.0.4:3128"\n')
    for file in filter(Path.is_file, folder.joinpath("share").rglob("*")):
        text = file.read_text()
        assert POLICY_FOLDER in text
        file.write_text(text.replace(f"find {POLICY_FOLDER} ", f"find {policy} "))
    return folder / "share"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a file and a folder to be completed, and the command, which fish looks for."""
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/true", tmp_path / "bin/docker-proxy-agent")
    (tmp_path / "policy.toml").touch()
    (tmp_path / "policies").mkdir()
    return tmp_path


def in_bash(lines: Sequence[str], home: Path, environment: Mapping[str, str]) -> str:
    return _ran(["bash", "--norc", "-c", BASH], lines, home, environment)


def in_fish(lines: Sequence[str], home: Path, environment: Mapping[str, str]) -> str:
    return _ran(["fish", "-c", FISH], lines, home, environment)


def _ran(command: list[str], lines: Sequence[str], home: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, input="".join(f"{line}\n" for line in lines), cwd=home, env=environment,
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def in_zsh(lines: Sequence[str], home: Path, environment: Mapping[str, str]) -> str:
    (home / ".zshrc").write_text(ZSHRC)
    asked, offered = home / "asked", home / "offered"
    asked.write_text("".join(f"{line}\n" for line in lines))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-d", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=home, start_new_session=True,
        env={**environment, "ASKED": str(asked), "OFFERED": str(offered)},
    ) as zsh:  # fmt: skip
        os.close(theirs)
        try:
            _read_to_the_end(ours)
        finally:
            os.close(ours)
            zsh.kill()
    return offered.read_text()


def _read_to_the_end(terminal: int) -> None:
    """What nobody reads would hold up whoever writes it."""
    while select.select([terminal], [], [], 60)[0]:
        try:
            os.read(terminal, 65536)
        except OSError:  # EIO: nobody has it open any more
            return
    raise TimeoutError("zsh says nothing, and does not end")


SHELLS: Final = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}


def offered(shell: str, share: Path, home: Path, *lines: str) -> list[set[str]]:
    """For each line, what its last word may be. Descriptions, and what marks a folder, are left out."""
    there(shell)
    if shell == "bash" and not BASH_COMPLETION.exists() and not os.environ.get("CI"):
        pytest.skip("no bash-completion here")
    environment = {
        "PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(home), "ZDOTDIR": str(home), "LC_ALL": "C.UTF-8",
        "TERM": "dumb", "SHARE": str(share), "XDG_DATA_DIRS": f"{share}:/usr/share",
    }  # fmt: skip
    blocks = SHELLS[shell](lines, home, environment).split("> ")[1:]
    assert [block.split("\n")[0] for block in blocks] == [*lines]
    return [{line.split("\t")[0].rstrip("/") for line in block.split("\n")[1:] if line} for block in blocks]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_files_and_upstreams(shell: str, share: Path, home: Path) -> None:
    expected = {
        "docker-proxy-agent re": {name for name in COMMANDS if name.startswith("re")},
        "docker-proxy-agent audit ver": {"verify"},
        "docker-proxy-agent status --w": {"--watch"},
        "docker-proxy-agent audit report --unt": {"--until"},
        "docker-proxy-agent env --shell ": {one.value for one in Shell},
        "docker-proxy-agent --policy pol": {"policy.toml", "policies"},
        "docker-proxy-agent check --policy pol": {"policy.toml", "policies"},
        "docker-proxy-agent check --root pol": {"policies"},
        "docker-proxy-agent pin ": {"office", "vpn.2", "lab", "direct"},
        "docker-proxy-agent pin o": {"office"},
        "docker-proxy-agent env --upstream v": {"vpn.2"},
    }

    found = offered(shell, share, home, *expected)

    assert dict(zip(expected, found, strict=True)) == expected
    assert not (home / "ran").exists()
