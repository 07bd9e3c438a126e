"""dockerd: looked at, and changed.

`look` asks for everything that a pass needs to know: what dockerd reports over its socket (`engine`), its unit in
systemd (`unit`), its process's flags and environment (`process`), and who beats what we write (`overruling`).
`transaction` changes it and rolls back, by the `journal` that `recover` reads after a crash. Not known here: what is to
be written, and the clients' files.
"""
