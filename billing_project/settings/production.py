"""Served to the world, over TLS. Refuses to start without a real ``SECRET_KEY`` and ``ALLOWED_HOSTS``."""

from django.core.exceptions import ImproperlyConfigured

from billing_project.settings.base import *
from billing_project.settings.base import ALLOWED_HOSTS, SECRET_KEY, env

# Django's own deployment check draws the same lines (security.W009).
SECRET_KEY_LENGTH_MIN = 50
SECRET_KEY_UNIQUE_MIN = 5
DEFAULT_SECRET_MARKS = ("insecure", "changeme", "change-me", "secret-key")

if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set: production needs a random one of 50 characters or more.")
if any(mark in SECRET_KEY.lower() for mark in DEFAULT_SECRET_MARKS):
    raise ImproperlyConfigured("SECRET_KEY is a default value: production needs a random one of its own.")
if len(SECRET_KEY) < SECRET_KEY_LENGTH_MIN or len(set(SECRET_KEY)) < SECRET_KEY_UNIQUE_MIN:
    raise ImproperlyConfigured("SECRET_KEY is too weak: production needs a random one of 50 characters or more.")
if not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set: name the host names that this installation answers to.")

# Acts that move money want a password or code of the last minutes.
BILLING_FRESH_SIGN_IN = "marketplace.accounts.freshness.ask_again"
# Links in mail, whatever the proxy said of the request that caused it.
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
# Only behind a proxy that sets the header itself: a client could otherwise claim to be on TLS.
if env.bool("TRUST_PROXY_TLS_HEADER", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=True)
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# A browser takes cookies of such names over TLS alone, for the whole of this host, and from no other.
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
# Probes and the metrics scraper speak plain HTTP from inside; calls of the API are refused instead.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^internal/metrics$", r"^api/(?!docs$)"]
