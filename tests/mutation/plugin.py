"""For runs of mutants, loaded with ``-p``: what Hypothesis finds counts, how small it can be made does not, and tests
of one example each come first, since most mutants need no more."""

import os
import time

import pytest
from hypothesis import Phase, is_hypothesis_test, settings

settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None)
settings.load_profile("mutants")


def pytest_sessionstart() -> None:
    # Whoever reads the clocks of the machine and not those of the organization is found. Django, by now loaded, has
    # set them to UTC.
    os.environ["TZ"] = "Pacific/Pago_Pago"
    time.tzset()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: is_hypothesis_test(getattr(item, "obj", None)))
