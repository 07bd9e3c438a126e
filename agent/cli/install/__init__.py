"""Installing the service, and removing it without a trace.

Every step prints what it did. `command` is the command `install`; `uninstall` has its own file, as it belongs to
`restore`. Not known here: what the service does, and how settings are put back (`one_pass/restore.py`).
"""
