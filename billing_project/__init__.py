"""The Django project: settings, urls, the Celery application, and what ``make run`` starts."""
