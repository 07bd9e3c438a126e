"""`docker.restart_command` of the demo: asks the supervisor on its socket, and waits for the answer.

It imports nothing of the agent, so that it is fast and runs wherever the agent is installed.
"""

from __future__ import annotations

import socket
import sys
from typing import Final

DONE: Final = "restarted"


def main() -> str | None:
    """None if it is done, else the error message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as supervisor:
        supervisor.connect(sys.argv[1])
        with supervisor.makefile() as answer:
            said = answer.read().strip()
    return None if said == DONE else said or "the supervisor has ended"


if __name__ == "__main__":
    sys.exit(main())
