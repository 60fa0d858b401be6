"""Benchmarks of the product against what the same machine, server and database allow, side by side in one run."""
