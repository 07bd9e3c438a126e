"""Where every file is, below one root directory.

`Paths("/")` is the system; any other root is a throw-away system for tests, the demo and `--root`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Paths(msgspec.Struct, frozen=True):
    """The files of the agent and the files of others that it reads or writes."""

    root: Path = Path("/")

    @property
    def is_system(self) -> bool:
        """Whether this is the real system: only then are systemctl, processes and other users involved."""
        return self.root == Path("/")

    def below(self, absolute: str) -> Path:
        """An absolute path of the system, as it lies below the root."""
        return self.root / absolute.lstrip("/")

    # The agent's own.

    @property
    def policy(self) -> Path:
        return self.below("/etc/docker-proxy-agent/config.toml")

    @property
    def environment_file(self) -> Path:
        """The values of the drop-in; 0600, for it may hold a password."""
        return self.below("/etc/docker-proxy-agent/dockerd.env")

    @property
    def state(self) -> Path:
        """0700: the journal, the originals, anchors, marks, pins."""
        return self.below("/var/lib/docker-proxy-agent")

    @property
    def runtime(self) -> Path:
        return self.below("/run/docker-proxy-agent")

    @property
    def status(self) -> Path:
        """What the running agent shows; everybody may read it."""
        return self.runtime / "status.json"

    @property
    def control(self) -> Path:
        """Where the running agent is asked; root's alone."""
        return self.runtime / "control.sock"

    @property
    def lock(self) -> Path:
        return self.runtime / "lock"

    @property
    def audit_log(self) -> Path:
        return self.below("/var/log/docker-proxy-agent/audit.jsonl")

    # Docker's and the system's.

    def drop_in(self, service: str) -> Path:
        """Sorted last, so that its EnvironmentFile= beats every other (FACTS 11)."""
        return self.below(f"/etc/systemd/system/{service}.d/zz-docker-proxy-agent.conf")

    @property
    def daemon_json(self) -> Path:
        """Where dockerd looks without `--config-file`."""
        return self.below("/etc/docker/daemon.json")

    @property
    def docker_certificates(self) -> Path:
        return self.below("/etc/docker/certs.d")
