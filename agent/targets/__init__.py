"""How each place spells the settings: text in, text out.

Pure: nothing here knows files. A new target is a file here that reads a text into `Settings`, and edits a text to say
them; `decide/plan.py` (for dockerd) or `decide/clients.py` makes file edits of that. What cannot be read or edited
raises `refused.TextRefused`, which says where in the text; `failed(path)` makes it the error of the target.
"""
