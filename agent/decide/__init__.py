"""Decisions: values in, a value with its reasons out.

Pure: no clock, file, network or process; time comes in as an argument. A new decision is a file here, named after
its question, with a table of cases in tests/pure.
"""
