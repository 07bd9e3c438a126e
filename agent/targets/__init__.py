"""How each place spells the settings: text in, text out.

Pure: nothing here knows files. A new target is a file here with `read` and `edit`, and a line in `apply`.
What cannot be read or edited raises `refused.TextRefused`, which says where in the text; `failed(path)` makes it the
error of the target.
"""
