"""Seeing: the host's interfaces, routes and resolver become one `Snapshot`.

`see.py` asks the others in turn. They get it from netifaces (addresses), netlink (links, routes, neighbours, SSIDs) and
one file (the resolver's). A new thing to see is a file here and a field of the snapshot.
"""
