"""How each place spells the settings: text in, text out.

    drop_in        the unit's drop-in, and the file of values that it loads
    environment    how systemd reads and quotes such values
    daemon_json    dockerd's daemon.json: `proxies`, and the other keys that the agent reads
    client_config  a client's config.json: one entry of `proxies`
    container      the proxy variables that a container or an image carries
    docker_create  the command line that makes a container as another one is
    json_splice    sets, deletes or puts back one value in a JSON text; every other byte stays
    for_dockerd    settings as they are written for dockerd, and as it shows them
    elsewhere      what a person copies into the places of other Dockers; a file of theirs with our keys set
    one_off        the lines for one container, one build, a Compose service
    choice         variables for the other programs of this host
    shells         how a shell spells a text
    desktop        what a desktop's own settings say; only read
    refused        what cannot be read or edited, and where in the text

Pure: nothing here knows files. What cannot be read or edited raises `refused.TextRefused`, which says where;
`failed(path)` makes it the error of the target.

A new place for the daemon's settings is a file here with `edit` (settings to text) and `texts` (text to what dockerd
reads), and a member of `Method` in `values/policy.py`. `decide/plan.py` says what is written there (`_edits`),
`decide/effective.py` what dockerd would make of it, `decide/put_back.py` how it is undone, and `docker/look.py` reads
what stands there. mypy and tests/pure/test_plan.py lead through the rest.
"""
