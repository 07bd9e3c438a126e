"""The agent run as nobody, where the test is root's."""

from __future__ import annotations

_NOBODY = 65534
# For `python -c`. What it imports later may be closed to nobody: import that before.
AS_NOBODY = f"""
import os, sys
from agent.cli import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid({_NOBODY}, {_NOBODY}, {_NOBODY})
    os.setresuid({_NOBODY}, {_NOBODY}, {_NOBODY})
sys.exit(main(sys.argv[1:]))
"""
