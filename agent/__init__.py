"""docker-proxy-agent: keeps Docker's proxy settings right while the machine moves between networks.

One pass reads wake → see → probe → choose → plan → apply → record; `reconcile` is that line.
Imports point down: `decide/`, `targets/` and the values on the ground floor are pure and know no clock,
file, network or process.
"""

__version__ = "0.1.0"
