"""A VPN from the laptop into the office: a tun device at each end, and a process there that carries the packets."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

from .ground import DIES_WITH_US, ENVIRONMENT, output

TUN = Path("/dev/net/tun")
DEVICE = "tun0"
HERE = Path(__file__).parent


class Vpn:
    """There when made, by `ip tuntap`: a device with an address, to which no route leads but to its own network."""

    NETWORK = "10.66.0"
    GATEWAY = f"{NETWORK}.1"

    def __init__(self, laptop: int, office: int) -> None:
        """By processes that live in either network."""
        if not TUN.exists():
            raise RuntimeError(f"{TUN} is missing, and a VPN needs it. Try: modprobe tun")
        self._networks = (laptop, office)
        self._gone()
        self._carriers: list[subprocess.Popen[bytes]] = []
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with near, far:
            self._end(office, far, f"{self.GATEWAY}/24", f"iptables -A FORWARD -i {DEVICE} -j REJECT")
            self._end(laptop, near, f"{self.NETWORK}.100/24")

    def _end(self, network: int, other: socket.socket, address: str, further: str = "") -> None:
        _sh(network, f"ip tuntap add dev {DEVICE} mode tun; {further}")
        argv = ["nsenter", "-t", str(network), "-n", "--", sys.executable, str(HERE / "tunnel.py")]
        self._carriers.append(
            subprocess.Popen(
                [*DIES_WITH_US, *argv, DEVICE, str(other.fileno())], env=ENVIRONMENT, pass_fds=[other.fileno()]
            )
        )
        _sh(network, f"ip link set {DEVICE} up; ip address add {address} dev {DEVICE}")

    def close(self) -> None:
        for carrier in self._carriers:
            carrier.kill()
            carrier.wait(60)
        self._gone()

    def _gone(self) -> None:
        for network in self._networks:
            with contextlib.suppress(RuntimeError):  # it never was there, or the whole network is gone
                _sh(network, f"ip link delete {DEVICE}")


def _sh(network: int, script: str) -> None:
    output(["nsenter", "-t", str(network), "-n", "--", "sh", "-euc", script])
