"""The product's settings, with its middleware, over other views."""

from billing_project.settings.local import *
from billing_project.settings.local import INSTALLED_APPS

ROOT_URLCONF = "bench.references.urls"
INSTALLED_APPS = [*INSTALLED_APPS, "bench.references"]
