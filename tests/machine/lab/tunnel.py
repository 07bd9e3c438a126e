"""One end of a tunnel: carries the packets of a tun device to a socket and back.

Run as a program, in the network of that end: tunnel.py DEVICE SOCKET
"""

import contextlib
import fcntl
import os
import socket
import struct
import sys
import threading

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h


def carry(device: str, other: socket.socket) -> None:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))

    def arrivals() -> None:
        while packet := other.recv(65536):
            with contextlib.suppress(OSError):  # the device is down: the packet is lost, as on a wire
                os.write(tun, packet)

    threading.Thread(target=arrivals).start()
    while packet := os.read(tun, 65536):
        other.send(packet)


if __name__ == "__main__":
    carry(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
