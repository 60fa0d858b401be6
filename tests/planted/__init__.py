"""Bugs planted on purpose, so that no proof is there for show: each invariant has at least one that it must find."""
