"""The running agent. `service` is the loop itself.

    wakes           everything that wakes it; each kind has a file in `watch/`
    ports           what it needs from outside, so that a test can hand in another one
    control         how it is asked: the socket
    requests        what a person can ask for
    answers         who waits for an answer, and what each is told
    passes          how a pass is made, by the service and by a command alone
    tell_the_relay  which networks it may let in, also while a pass is made
    policy_in_use   the last good policy, although a wrong one may stand in the file
    policy_shown    which file each part of it is from
    served          which Docker it looks after
    unfinished      what an earlier agent, or an earlier pass, left unfinished with Docker
    failures        which part does not work, and when it is tried again
    starts          who started dockerd
    docker_news     a restart that waited, and is needed no longer
    outages         when what Docker runs with began not to work here, and when that ended
    corrections     foreign changes of our keys
    diary           what was recorded last, so that each change is recorded once
    display         what it shows: `status_file` (status.json), from which others make a screen (`status_page`), a line
                    (`status_line`), metrics (`metrics`) and what each place says that Docker runs with (`sights_page`)
    choice_file     choice.env, for other programs of this host
    lifetime        how the last agent ended

Nothing is imported here, so that `status` starts at once.
"""
