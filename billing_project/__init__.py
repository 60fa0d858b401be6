from billing_project.celery import app as celery_app

# Importing the package with Django is what binds @shared_task functions to this Celery app.
__all__ = ["celery_app"]
