"""What the operating system gives: files, processes, clocks, locks, accounts.

Nothing here knows Docker, a proxy or a pass. A file that is replaced, and everything that is kept on a disk, goes
through here.
"""
