"""The running agent. `service` is the loop itself.

    wakes          everything that wakes it; each kind has a file in `watch/`
    control        how it is asked: the socket
    requests       what a person can ask for
    answers        who waits for an answer, and what each is told
    passes         how a pass is made, by the service and by a command alone
    policy_in_use  the last good policy, although a wrong one may stand in the file
    unfinished     what an earlier agent, or an earlier pass, left unfinished with Docker
    failures       which part does not work, and when it is tried again
    starts         who started dockerd
    corrections    foreign changes of our keys
    diary          what was recorded last, so that each change is recorded once
    display        what it shows: `status_file` (status.json), `status_page` (a screen)
    choice_file    choice.env, for other programs of this host
    lifetime       how the last agent ended
    notify         what systemd is told

Nothing is imported here, so that `status` starts at once.
"""
