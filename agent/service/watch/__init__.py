"""Wake-ups: what makes the service look again.

    netlink      the kernel's network
    paths        files that root may watch, by watchdog and a `brake` for directories that change all the time
    homes        files of users, by `inotify` on descriptors
    process      dockerd
    proxy        a proxy on this host
    relay        what the relay says: whom it let wait, what it cannot open
    resume       the end of a suspend (`timerfd`)
    timer        a point in time (`timerfd`)
    unwatched    what cannot be watched
    wakeups      collects the reasons

Each watch calls a `Wake` with a `Reason`. A wake-up says nothing but "look again". A new thing to watch is a file here
with `close()`, and a Reason.
"""
