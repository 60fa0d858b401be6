"""The test suite: real PostgreSQL and Valkey, but no static build, fast password hashing and mail kept in memory."""

from billing_project.settings.base import *
from billing_project.settings.base import INSTALLED_APPS, env

SECRET_KEY = "key-of-the-test-suite"  # of tests # nosec B105
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
BILLING_ENVIRONMENT = "sandbox"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
BILLING_MAIL_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = False
# Its own tests ask for it; elsewhere people are signed in without a sign-in.
BILLING_STAFF_SECOND_FACTOR = False
INSTALLED_APPS = [*INSTALLED_APPS, "examples.casework"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
# Tests that are about something else move credits in any amount; those about a second person set it themselves.
BILLING_APPROVAL_ABOVE_CREDITS = None
# Tests that are about something else ask without pause; those about limits set them.
BILLING_RATE_LIMIT_KEY = env.str("BILLING_RATE_LIMIT_KEY", default="none")
BILLING_RATE_LIMIT_ORGANIZATION = env.str("BILLING_RATE_LIMIT_ORGANIZATION", default="none")
BILLING_RATE_LIMIT_KEYLESS = env.str("BILLING_RATE_LIMIT_KEYLESS", default="none")
BILLING_RATE_LIMIT_ADDRESS = env.str("BILLING_RATE_LIMIT_ADDRESS", default="none")
