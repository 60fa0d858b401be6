"""Casework: a small host product that asks Countinghouse for permission. README.md is the guided tour."""
