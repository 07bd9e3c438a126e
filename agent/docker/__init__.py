"""dockerd: what it reports over its socket, its unit in systemd, and its process's flags and environment."""
