"""For all tests."""

from hypothesis import settings

# How long an example takes says how busy the machine is; timings belong in `make bench`.
settings.register_profile("no deadlines", deadline=None)
settings.load_profile("no deadlines")
