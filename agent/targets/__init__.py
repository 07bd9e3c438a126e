"""How each place spells the settings: text in, text out.

Pure: nothing here knows files. A new target is a file here with `read` and `edit`, and a line in `apply`.
"""
