"""The clients' files: people's config.json, read and written as the people whose they are.

    users          whose files are kept, and who is left out for what reason
    accounts       what the name service says of accounts
    ground         how far root may look on the way to a home
    held           what root holds without opening it, and on what it lies
    homes          a home, read and written by a helper process as its user
    home_helper    that process
    clients        all of them: looked at, and changed
    patience       who gives no answer is not waited for again and again
    originals      what stood at our keys before the agent first wrote

Not known here: what the files must say (`decide/clients.py`), and Docker.
"""
