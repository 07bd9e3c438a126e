"""The running agent: woken (`watch/`, `wakes`), asked (`control`, `requests`), shown (`status`), and `service` itself.

Nothing is imported here, so that `status` starts at once.
"""
