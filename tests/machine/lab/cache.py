"""Where things that are dear to make are kept between runs, outside the repository."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = (".unfinished", ".root", ".work")


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    path = (Path(base) if base else Path.home() / ".cache") / "docker-proxy-agent"
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def kept(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory `name-key`, made by `make` if it is not there yet; others of that name go when unused for a day."""
    home = cache_dir()
    path = home / f"{name}-{key}"
    with locked(home / f"{name}.lock"):
        if path.is_dir():
            os.utime(path)
            return path
        for other in home.glob(f"{name}-*"):
            # One that is younger may be what another run has booted from; an unfinished one has no maker any more.
            if other.suffix in UNFINISHED or other.stat().st_mtime < time.time() - 86400:
                shutil.rmtree(other)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{name}-", suffix=".unfinished", dir=home))
        unfinished.chmod(0o755)
        try:
            make(unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        unfinished.rename(path)
        os.utime(path)
        return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
