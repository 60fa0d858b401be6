"""The Django project: settings, urls, the Celery application, and what ``make run`` starts."""

# Whoever calls a task's ``delay`` must have the application loaded, or the message goes to a default broker.
from billing_project.celery import app as celery_app

__all__ = ["celery_app"]
