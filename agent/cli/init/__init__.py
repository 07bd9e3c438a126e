"""A first policy from what this system has, and one more network for the place where the laptop is now.

`look` finds, `decide/first_policy.py` decides, `command` shows, checks and writes. Not known here: how a policy is
spelled (`decide/first_policy_text.py`).
"""
