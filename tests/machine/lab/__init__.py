"""A laptop with a real systemd and a real Docker, and the places it goes to.

    rootfs, wheelhouse, layer   what a box boots from: Debian, the product and what it needs; kept in the user's cache
    box                         one booted machine on a throw-away overlay
    places                      where the laptop goes, and the proxies and the registry there
    vpn                         a tunnel from the laptop into the office
    docker, rootless, laptop    the nouns of the tests

Everything that runs or is mounted lives in namespaces that end with the process that started them: nothing is left
behind, not even by `kill -9`. No packet leaves these namespaces.
A new place: a class in `places`, and a line in `World`.
"""
