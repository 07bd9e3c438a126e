"""Probing: a real request to a registry through an upstream becomes a `Verdict`."""
