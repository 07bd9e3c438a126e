"""Seeing: the host's interfaces, routes and resolver become one `Snapshot`.

`see.py` asks the others in turn. What they know of the world comes from netifaces (addresses), netlink (links, routes,
neighbours, SSIDs) and one file (the resolver's). A new thing to be seen is a file here and a field of the snapshot.
"""
