"""Wake-ups: what makes the service look again.

`netlink.py`, `paths.py`, `resume.py` and `timer.py` each watch one thing and call a `Wake` with a `Reason`;
`wakeups.py` collects the reasons. A wake-up carries no information but "look again". A new thing to be watched is a
file here with `close()`, and a Reason.
"""
