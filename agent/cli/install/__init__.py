"""The service on this machine: put there, and taken away so that nothing is left of it.

Every step says what it did. `command` is the command `install`; `uninstall` has its own file, as it belongs to
`restore`. Not known here: what the service does, and how settings are put back (`one_pass/restore.py`).
"""
