"""The process that evaluates a PAC file: a script from the network, in an engine written in C.

So it is neither the agent nor the relay: it has no rights, an end in sight, and one socket. It imports nothing of the
house, and nothing here is known to the agent, which asks it by the lines in `values/pac.py` (`probe/pac.py`).

    evaluator    what the unit starts, and `probe/pac.py` where there is none
"""
