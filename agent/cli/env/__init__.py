"""`env`: the lines for one container, one build or one shell, and what the Docker of another system wants.

    command  the arguments, and what is printed
    chosen   which upstream they are for
    look     what a pass would choose, and where containers reach it
    shown    what `--json` prints

The lines are made in `targets/one_off.py` and `targets/shells.py`, those for another system in `decide/elsewhere.py`.
"""
