"""For runs of mutants, loaded with ``-p``: what Hypothesis finds counts, how small it can be made does not."""

from hypothesis import Phase, settings

settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None)
settings.load_profile("mutants")
