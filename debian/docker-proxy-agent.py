#!/usr/bin/python3 -I
"""The command. Isolated: neither the caller's PYTHONPATH nor a package of root's own home becomes part of it."""

import sys

sys.path.insert(0, "/usr/lib/docker-proxy-agent")

from agent.cli import main

sys.exit(main())
