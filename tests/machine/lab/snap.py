"""The snap of Docker, by its unit and its files, with Debian's dockerd behind them: there is no snapd in the lab."""

from pathlib import Path

from tests.waiting import Seen, until

from .box import Box
from .docker import Docker

# As snapd writes it.
_UNIT = """
[Unit]
Description=Service for snap application docker.dockerd
Wants=network.target
After=network.target
[Service]
EnvironmentFile=-/etc/environment
ExecStart=/usr/bin/snap run docker.dockerd
Restart=always
WorkingDirectory=/var/snap/docker/2904
TimeoutStopSec=30
Type=simple
[Install]
WantedBy=multi-user.target
"""
# In place of `snap run` and of the snap's own script: both end by exec. The revision is in all that dockerd is given.
_SNAP = """#!/bin/sh -eu
data=/var/snap/docker/2904 common=/var/snap/docker/common
mkdir -p $data/config $common/run
exec dockerd --group docker --exec-root=$common/run/docker --data-root=$common/var-lib-docker \\
    --pidfile=$data/docker.pid --config-file=$data/config/daemon.json
"""


class SnapDocker(Docker):
    """In the place of Debian's, whose containerd goes, too: this dockerd starts its own."""

    service = "snap.docker.dockerd.service"
    drop_ins = f"/etc/systemd/system/{service}.d"
    daemon_json = "/var/snap/docker/current/config/daemon.json"

    def __init__(self, box: Box, busybox: Path) -> None:
        super().__init__(box, busybox)
        self.systemctl("disable", "--quiet", "--now", "docker.service", "docker.socket", "containerd.service")
        box.put("/usr/bin/snap", _SNAP, mode=0o755)
        box.run("sh", "-euc", "mkdir -p /var/snap/docker/2904/config; ln -s 2904 /var/snap/docker/current")
        box.put(self.daemon_json, '{"log-level": "error"}\n')
        box.put(f"/etc/systemd/system/{self.service}", _UNIT)
        self.systemctl("daemon-reload")
        self.systemctl("enable", "--quiet", "--now", self.service)
        until(60, self._answers, "the snap's dockerd answers")

    def _answers(self) -> Seen:
        ran = self.cli("version", check=False)
        return Seen(ran.ok, ran)
