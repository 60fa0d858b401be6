from billing_project.settings.base import *  # noqa: F403

DEBUG = True
SECRET_KEY = SECRET_KEY or "insecure-local-development-only-key"  # noqa: F405
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
