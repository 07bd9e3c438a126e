"""What the agent talks about: policy, settings, what was seen and found.

Pure, and nothing of the house is imported here but what stands beside it. A new value that two folders need is a file
here.
"""
