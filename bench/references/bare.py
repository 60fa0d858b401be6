"""The product without its middleware and its logs, to see what these cost."""

from billing_project.settings.local import *
from billing_project.settings.local import MIDDLEWARE

# The one that an app of ours refuses to start without.
MIDDLEWARE[:] = ["allauth.account.middleware.AccountMiddleware"]
LOGGING_CONFIG = None
