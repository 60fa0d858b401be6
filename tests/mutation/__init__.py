"""How well the tests hold the pure modules: branch coverage, and mutants of which as many as can be are found.

Which modules are meant stands in pyproject.toml, ``tool.mutmut.only_mutate``. Their tests need no servers.
"""
