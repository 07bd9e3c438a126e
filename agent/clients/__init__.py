"""The clients' files: people's config.json, read and written as the people whose they are.

    users          whose files are kept, and who is left out for what reason
    accounts       what the name service says of accounts
    root_walk      how far root goes on the way to a home
    mounts         what is mounted where, and which file systems may hang
    descriptors    names that are held without opening them, and on what they lie
    homes          a home, read and written by a helper process as its user
    home_helper    that process
    clients        all of them: looked at, and changed
    bounded_work   a file that gives no answer is not waited for again and again
    originals      what stood at our keys before the agent first wrote

Not known here: what the files must say (`decide/clients.py`), and Docker.
"""
