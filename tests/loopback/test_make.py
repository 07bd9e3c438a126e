"""What `make` says where something is missing on this machine, and what to do about it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.sources import ROOT

# A Python that is new enough, in whose environments pip reaches nobody.
NO_NETWORK = """#!/bin/sh
case "$*" in
"-m venv "*)
    for folder; do :; done
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\\nexit 1\\n' >"$folder/bin/pip"
    chmod +x "$folder/bin/pip"
    ;;
esac
"""
IS_ROOT = "#!/bin/sh\necho 0\n"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(folder: Path, *words: str) -> tuple[int, list[str]]:
    """Its exit status, and what is on stderr. `folder`: its programs come first."""
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "MAKEFLAGS": "",
        "TMPDIR": str(folder),
    }
    ran = subprocess.run(
        ["make", f"--directory={ROOT}", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.returncode, ran.stderr.splitlines()


@pytest.mark.parametrize("python", ["/nowhere/python3.11", "old"])
def test_a_python_that_will_not_do_is_named(tmp_path: Path, python: str) -> None:
    if python == "old":
        python = str(program(tmp_path / "bin/old", "#!/bin/sh\nexit 1\n"))
    venv = tmp_path / "venv"

    status, said = make(tmp_path, "demo", f"VENV={venv}", f"PYTHON={python}")

    assert status != 0
    assert said[0] == (
        f"make: {python} is not Python 3.11 or newer with its venv module."
        " Name one: make demo PYTHON=/usr/bin/python3.11"
    )
    assert said[1].endswith(": sudo apt install python3-venv")
    assert not venv.exists()


def test_where_pip_reaches_nobody_it_says_how_to_name_a_proxy(tmp_path: Path) -> None:
    python = program(tmp_path / "bin/python", NO_NETWORK)

    status, said = make(tmp_path, "demo", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}")

    assert status != 0
    assert said[0].endswith(" Behind a proxy, name it: https_proxy=http://proxy.example:3128 make demo")


def test_an_uninstall_that_cannot_restore_says_so_and_removes_nothing(tmp_path: Path) -> None:
    program(tmp_path / "bin/id", IS_ROOT)
    python = program(tmp_path / "bin/python", NO_NETWORK)
    opt = tmp_path / "opt"
    link = program(tmp_path / "bin/docker-proxy-agent", "")

    status, said = make(
        tmp_path, "uninstall", f"OPT={opt}", f"TRACES={tmp_path}", f"PYTHON={python}", f"LINK={link}", "NO_DEB=true"
    )

    assert status != 0
    assert said[0].endswith(" Behind a proxy: sudo --preserve-env=https_proxy make uninstall")
    assert "make uninstall: nothing is restored or removed. To do it yourself: docs/troubleshooting.md" in said
    assert link.exists()
