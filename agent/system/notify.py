"""What systemd is told (sd_notify(3)). Outside of a unit, nothing."""

from __future__ import annotations

import os
import time

import sdnotify

from agent.values.secret import escaped


class Notify:
    """READY once, STATUS when it changes, WATCHDOG as often as the unit wants it."""

    def __init__(self) -> None:
        # Without the variable the library still opens a socket, and never closes it.
        self._notifier = sdnotify.SystemdNotifier() if "NOTIFY_SOCKET" in os.environ else None
        self._is_ready = False
        self._status = ""
        self.watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

    def ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._say("READY=1")

    def reloading(self) -> None:
        """After SIGHUP; `ready_again` ends it."""
        if self._is_ready:
            self._say(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def ready_again(self) -> None:
        if self._is_ready:
            self._say("READY=1")

    def status(self, text: str) -> None:
        line = escaped(text)
        if line != self._status:
            self._status = line
            self._say(f"STATUS={line}")

    def alive(self) -> None:
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The last message."""
        self._say("STOPPING=1")
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()  # the library does not

    def _say(self, text: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(text)
