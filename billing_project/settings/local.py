"""``make run`` and a developer's shell: plain HTTP on this machine, sandbox catalog, no secret needed."""

from billing_project.settings.base import *
from billing_project.settings.base import INSTALLED_APPS, STORAGES, env

DEBUG = env.bool("DEBUG", default=False)
# Whoever exposes this beyond the machine sets SECRET_KEY; production settings refuse to start with this one.
SECRET_KEY = env.str("SECRET_KEY", default="insecure-key-for-this-machine-only")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
BILLING_ENVIRONMENT = env.str("BILLING_ENVIRONMENT", default="sandbox")
# The operator of a first look has none yet; whoever exposes this beyond the machine asks for it.
BILLING_STAFF_SECOND_FACTOR = env.bool("BILLING_STAFF_SECOND_FACTOR", default=False)
BILLING_FRESH_SIGN_IN = "marketplace.accounts.freshness.ask_again"
# On the console, where its owner reads it.
BILLING_MAIL_ENABLED = True
# The example of a host product, at /api/v1/cases. Only here: production has a host of its own.
if env.bool("EXAMPLE_CASEWORK", default=True):
    INSTALLED_APPS = [*INSTALLED_APPS, "examples.casework"]
# Compressing every file would make the first start seconds longer, and saves nothing on this machine.
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}
