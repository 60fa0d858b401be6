"""The settings of the test suite for the product's own processes, with a clock that can be misread and bugs in them."""

from billing_project.settings.test import *
from billing_project.settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.inside.Inside"]
