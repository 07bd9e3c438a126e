"""Seeing: the host's interfaces, routes and resolver become one `Snapshot`."""
