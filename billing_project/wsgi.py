"""The WSGI entry point that a production server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings.production")

# Whoever calls a task's ``delay`` must have the application loaded, or the message goes to a default broker.
from billing_project.celery import app as celery_app  # noqa: E402 - it needs the settings' name

__all__ = ["application", "celery_app"]

application = get_wsgi_application()
