"""The product's .deb, built from the work tree by `debian/build`, as `make deb` does."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .cache import kept
from .wheelhouse import REPOSITORY

BUILT_FROM = ("agent", "debian", "docs", "generate", "systemd", "config.example.toml", "pyproject.toml")
TEXTS = ("README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE")
_MOMENT = "1764000000"  # of all that is in it


def deb(version: str) -> Path:
    """Of this version, which its code says, too; from the cache or built (some seconds)."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="docker-proxy-agent-deb-") as scratch:
            build(Path(scratch), version, folder)

    files = [file for name in (*BUILT_FROM, *TEXTS) for file in _files(REPOSITORY / name)]
    whole = hashlib.sha256(version.encode())
    for file in files:
        whole.update(str(file.relative_to(REPOSITORY)).encode() + b"\0" + file.read_bytes())
    (built,) = kept(f"deb-{version}", whole.hexdigest()[:12], make).glob("*.deb")
    return built


def build(scratch: Path, version: str, folder: Path) -> None:
    """In a copy of the tree, which `scratch` is to be."""
    for name in (*BUILT_FROM, *TEXTS):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, scratch / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, scratch / name)
    code = scratch / "agent/__init__.py"
    lines = [
        f'__version__ = "{version}"' if line.startswith("__version__") else line
        for line in code.read_text().split("\n")
    ]
    code.write_text("\n".join(lines))
    for what in ("man", "completions"):
        _run(scratch, sys.executable, "-m", f"generate.{what}", "build/share")
    _run(scratch, "debian/build", str(folder))


def _files(top: Path) -> list[Path]:
    return (
        sorted(file for file in top.rglob("*") if file.is_file() and file.suffix != ".pyc") if top.is_dir() else [top]
    )


def _run(folder: Path, *argv: str) -> None:
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": _MOMENT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
