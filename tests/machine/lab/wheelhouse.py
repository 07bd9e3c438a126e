"""The product and what it needs, as packages of PyPI: a box has no network to fetch them from."""

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
from functools import cache
from pathlib import Path

from .cache import digest, kept
from .rootfs import SUITES

REPOSITORY = Path(__file__).resolve().parents[3]


def dependencies() -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return sorted(project["dependencies"])


def wheelhouse() -> Path:
    """What `make wheelhouse` fetches for every suite's Python; from the cache or PyPI."""
    pythons = " ".join(sorted({suite.python for suite in SUITES.values()}))
    locks = [file.read_text() for file in sorted((REPOSITORY / "requirements").glob("*.txt"))]

    def make(house: Path) -> None:
        _run(
            *("make", "--directory", str(REPOSITORY), "wheelhouse"),
            *(f"WHEELHOUSE={house}", f"PYTHONS={pythons}", f"PYTHON={sys.executable}"),
        )

    return kept("wheelhouse", digest(*locks, pythons), make)


def built() -> Path:
    """A wheel of each that has none on PyPI (docs/facts.md 38): not built anew for every suite."""
    house = wheelhouse()

    def make(folder: Path) -> None:
        _pip(
            "wheel", "--use-pep517", "--no-deps", "--wheel-dir", str(folder), *map(str, house.glob("sdnotify-*.tar.gz"))
        )

    return kept("built", digest(house.name), make)


@cache
def product_wheel() -> Path:
    """The product's own wheel, built from the work tree as it was when first asked: the same for a whole run."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="docker-proxy-agent-wheel-") as scratch:
            for name, content in sources.items():
                copy = Path(scratch) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            offline = ("--no-index", "--find-links", str(wheelhouse()))
            _pip("wheel", "--no-deps", *offline, "--wheel-dir", str(folder), scratch)

    sources = _sources()
    key = hashlib.sha256(b"".join(name.encode() + b"\0" + content for name, content in sources.items())).hexdigest()
    (wheel,) = kept("product-wheel", key[:12], make).glob("docker_proxy_agent-*.whl")
    return wheel


def _sources() -> dict[str, bytes]:
    """What a wheel is built from. Read at once: others may be writing in the work tree."""
    apart = {"tests", "build", "dist", "__pycache__"}
    files = {}
    for folder, folders, names in os.walk(REPOSITORY):
        folders[:] = sorted(
            name for name in folders if name not in apart and not name.startswith(".") and ".egg" not in name
        )
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                files[str(path.relative_to(REPOSITORY))] = path.read_bytes()
    return files


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", *arguments)


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv,
        cwd="/",
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
