"""The Celery application; its settings are the ``CELERY_…`` names of the Django settings."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_project.settings.production")

app = Celery("billing_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["billing.emitters"])


@setup_logging.connect
def keep_the_logging_of_django(**_: Any) -> None:
    """Celery sets up logging of its own, in another format, unless somebody listens to this signal."""
