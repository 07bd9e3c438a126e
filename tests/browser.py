"""A real browser without a window: Debian's chromium-headless-shell, driven over a pipe.

It is told and asked by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), JSON messages with
a zero byte after each, on descriptors 3 and 4 (`--remote-debugging-pipe`). Every answer has a limit.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

BROWSERS: Final = ("chromium-headless-shell", "chromium")  # the first is a third of the other one's size
_LIMIT_S: Final = 60


class Browser:
    """One page, in whatever window it is put."""

    def __init__(self, told: int, asked: int) -> None:
        self._told, self._asked = told, asked
        self._number = 0
        self._session = ""
        self._rest = b""
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._told, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _LIMIT_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def evaluate(self, expression: str) -> Any:
        """What it is in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def show(self, page: Path) -> None:
        """Until it is loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + _LIMIT_S
        while not any(name == "Page.loadEventFired" for name, _ in self.events):
            self._next(deadline)

    def window(self, width: int, height: int, *, is_dark: bool = False, media: str = "") -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        colours = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[colours])

    def picture(self) -> bytes:
        """As PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def paper(self) -> bytes:
        """As PDF, on the paper that the page asks for."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def _next(self, deadline: float) -> dict[str, Any]:
        """One message; an event is kept."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._asked], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no answer within {_LIMIT_S} s"
            more = os.read(self._asked, 1 << 20)
            assert more, "the browser is gone"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append((message["method"], message.get("params", {})))
        return message


@contextmanager
def browser(program: str, home: Path) -> Iterator[Browser]:
    """`home`: where it keeps what it keeps."""
    to_browser, told = os.pipe()
    asked, from_browser = os.pipe()
    line = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    # As root it refuses its own sandbox. It opens nothing but the page of the test: no name of a host leads anywhere.
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
               "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
               "--remote-debugging-pipe", f"--user-data-dir={home}")  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", line, program, *options],
        pass_fds=(to_browser, from_browser),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
        start_new_session=True,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Browser(told, asked)
    finally:
        os.close(told)
        os.close(asked)
        process.kill()
        process.wait(timeout=_LIMIT_S)
