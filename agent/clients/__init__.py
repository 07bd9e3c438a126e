"""The clients' files: each user's config.json, read and written as that user.

    users            whose files are kept, who is left out, and why
    accounts         what the name service says about accounts
    root_walk        how far root goes on the way to a home
    mounts           what is mounted where, and which file systems may hang
    descriptors      names held without opening them, and the file systems they are on
    homes            a home, read and written by a helper process as its user
    home_helper      that process
    helper_process   how it is started, asked and ended
    from_containers  what containers find where the proxy is
    clients          all of the files: looked at, and changed
    bounded_work     a file that does not answer is not waited for again and again
    originals        what our keys said before the agent first wrote there

Not known here: what the files must say (`decide/clients.py`), and Docker.
"""
