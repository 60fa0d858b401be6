"""What every environment shares. Whatever differs between installations comes from the environment."""

from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import environ

# Whatever reads the settings (server, shell, command, test) thereby binds @shared_task functions to our Celery app;
# without it a task's ``delay`` would go to Celery's default broker.
from billing_project.celery import app as celery_app  # noqa: F401
from billing_project.settings.accounts import *
from billing_project.settings.desk import *
from billing_project.settings.logging import logging_config

BASE_DIR = Path(__file__).resolve().parents[2]

env = environ.Env()

DEBUG = False
SECRET_KEY = env.str("SECRET_KEY", default="")
# What SECRET_KEY was before, by commas: sessions and links made then hold on until these are taken out.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
# Close secrets in the database (of second factors), by commas: the first closes, each opens. Without any it is
# SECRET_KEY, which then must not be lost or changed without being kept among its fallbacks.
BILLING_ENCRYPTION_KEYS: list[str] = env.list("BILLING_ENCRYPTION_KEYS", default=[])
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    # Before the admin, whose look it is.
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_prometheus",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "billing",
    "marketplace",
]
AUTH_USER_MODEL = "billing.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "marketplace.accounts.passwords.HouseWordsValidator"},
]

MIDDLEWARE = [
    "billing.observability.RequestContextMiddleware",
    "billing.api.middleware.ProblemMiddleware",
    "billing_project.http_metrics.RequestMetricsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "billing_project.security_headers.SecurityHeadersMiddleware",
    "billing_project.security_headers.CallsOverTlsMiddleware",
    "billing_project.page_middleware.WhiteNoiseMiddleware",
    "billing_project.page_middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "billing_project.page_middleware.AuthenticationMiddleware",
    "billing_project.page_middleware.SessionEndMiddleware",
    "billing_project.page_middleware.MessageMiddleware",
    "billing_project.page_middleware.VisitorLocaleMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "billing_project.page_middleware.StaffSecondFactorMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "billing_project.urls"
WSGI_APPLICATION = "billing_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# What the texts are written in. Figures and dates on pages follow each visitor's locale (marketplace/locales.py).
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- PostgreSQL ---


def _database() -> dict[str, Any]:
    settings: dict[str, Any] = env.db("DATABASE_URL", default="postgres://postgres@127.0.0.1:5432/countinghouse")
    return settings | {
        # Connections live as long as their thread: opening one per request is 15 times slower. No health
        # check before each request either; Django drops a connection that failed at the end of that request.
        "CONN_MAX_AGE": None,
        "OPTIONS": settings.get("OPTIONS", {})
        | {
            "connect_timeout": 5,
            # psycopg prepares a statement at its third run on a cursor that binds on the server.
            "prepare_threshold": 2,
            "application_name": "countinghouse",
            # Statements here are short and many: compiling one costs more than it saves.
            # The time zone is Django's: asked for at the start, it costs no statement of its own.
            "options": "-c timezone=UTC -c jit=off -c lock_timeout=2000 -c idle_in_transaction_session_timeout=60000",
        },
    }


DATABASES = {"default": _database()}
# Refusals are counted on a connection of their own, so that the caller's rollback does not erase them. Best effort: the
# caller waits neither for the disk nor for long.
DATABASES["refusals"] = deepcopy(DATABASES["default"]) | {"TEST": {"MIRROR": "default"}}
DATABASES["refusals"]["OPTIONS"]["options"] += " -c synchronous_commit=off -c statement_timeout=1000"

# --- Redis (or Valkey): cache, throttle counters and Celery messages; no decision depends on it ---

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "countinghouse",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than the hard time limit below: a message that reappears while its task still runs is run twice.
    "visibility_timeout": 600,
    # How often to look for messages whose worker is gone; the defaults look every 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 2,
    # A broker that is paused takes connections and says nothing: whoever hands out work would wait for ever.
    "socket_timeout": 2,
    "socket_keepalive": True,
}
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
# Both are needed for a task to survive the death of its worker; tasks are safe to run twice.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A new pool process says that it is there; on a busy machine later than the four seconds that end the worker otherwise.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
# A request must not hang on a lost broker: the sweeps find the work in its rows.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
CELERY_TIMEZONE = "UTC"
# Beat only wakes the sweeps; what they do stands in rows, so a missed or doubled wake-up changes nothing.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "renew": {"task": "billing.tasks.renew_due", "schedule": 15.0},
    "prune-kept": {"task": "billing.tasks.prune_kept", "schedule": 86400.0},
    "reservations": {"task": "billing.tasks.mark_expired_reservations", "schedule": 3600.0},
    "final": {"task": "billing.tasks.draft_finals", "schedule": 3600.0},
    "issue": {"task": "billing.tasks.issue_due_invoices", "schedule": 60.0},
    "draft": {"task": "billing.tasks.draft_due_invoices", "schedule": 300.0},
    "seal": {"task": "billing.tasks.seal_ledgers", "schedule": 60.0},
    "collect": {"task": "billing.tasks.collect_due", "schedule": 30.0},
    "purchases": {"task": "billing.tasks.withdraw_lapsed_purchases", "schedule": 300.0},
    "mail": {"task": "billing.tasks.send_due_mail", "schedule": 15.0},
    "verify": {"task": "billing.tasks.verify_books", "schedule": 3600.0},
    "verify_whole": {"task": "billing.tasks.verify_books", "schedule": 7 * 86400.0, "kwargs": {"is_whole": True}},
    "seal_use": {"task": "billing.tasks.seal_use", "schedule": 3600.0},
    "refusals": {"task": "billing.tasks.prune_refusals", "schedule": 86400.0},
    "webhooks": {"task": "billing.tasks.deliver_due_webhooks", "schedule": 5.0},
    "provider_events": {"task": "billing.tasks.process_due_provider_events", "schedule": 10.0},
    "reconcile": {"task": "billing.tasks.reconcile_usage", "schedule": 86400.0},
    "provider_bodies": {"task": "billing.tasks.prune_provider_events", "schedule": 86400.0},
    "webhook_log": {"task": "billing.tasks.prune_webhook_log", "schedule": 86400.0},
}

# --- HTTP ---

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# No other site's pages take files from here.
WHITENOISE_ALLOW_ALL_ORIGINS = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
# A request with more than this brings no file: there is no second handler, which would write it to the disk.
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
# Forms bring the token and scripts read it from the page: no script has to read the cookie.
CSRF_COOKIE_HTTPONLY = True
# What a page is to say once waits with the session, rather than in a cookie of its own.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- E-mail: EMAIL_URL is like smtp+tls://user:password@mail.example.com:587 ---

# A server that does not answer must not hold a worker for long.
EMAIL_TIMEOUT = 20
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
# Without a server what would be sent is recorded as skipped, rather than printed where nobody reads it.
BILLING_MAIL_ENABLED = bool(env.str("EMAIL_URL", default=""))
BILLING_MAIL_FROM = env.str("BILLING_MAIL_FROM", default="billing@localhost")
DEFAULT_FROM_EMAIL = BILLING_MAIL_FROM
# What is written to sandbox organizations is recorded and not sent, unless this says so.
BILLING_MAIL_SANDBOX = env.bool("BILLING_MAIL_SANDBOX", default=False)

REST_FRAMEWORK: dict[str, Any] = {
    # Who may call is settled in billing/api/endpoint.py; the only plain views of the framework are public pages.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "billing.api.schema.StructSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countinghouse",
    "DESCRIPTION": "Plans, subscriptions, exact quotas, metered usage, credits and invoices.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api",
    "POSTPROCESSING_HOOKS": [],
}

# --- The product ---

BILLING_ENVIRONMENT = env.str("BILLING_ENVIRONMENT", default="production")
BILLING_PLANS_FILE = Path(env.str("BILLING_PLANS_FILE", default=str(BASE_DIR / "config" / "plans.yaml")))
BILLING_ISSUER = {
    "name": env.str("BILLING_ISSUER_NAME", default="Countinghouse"),
    # Lines apart by a backslash and an n, as an environment file can say it.
    "address": env.str("BILLING_ISSUER_ADDRESS", default="").replace("\\n", "\n"),
    "vat_number": env.str("BILLING_ISSUER_VAT_NUMBER", default=""),
    "timezone": env.str("BILLING_ISSUER_TIMEZONE", default="UTC"),
}
# Days after which what callers attached to their uses is deleted; answers kept for Idempotency-Key; domain events that
# were sent. 0 keeps for ever.
BILLING_PAYLOADS_KEPT_DAYS = env.int("BILLING_PAYLOADS_KEPT_DAYS", default=90)
BILLING_REQUESTS_KEPT_DAYS = env.int("BILLING_REQUESTS_KEPT_DAYS", default=30)
BILLING_OUTBOX_KEPT_DAYS = env.int("BILLING_OUTBOX_KEPT_DAYS", default=90)
# Hours that an ended period waits for late use before its invoice is issued by itself.
BILLING_GRACE_HOURS = env.int("BILLING_GRACE_HOURS", default=24)
# An invoice of more than this many times the highest of the subscription's last ones waits for a human.
BILLING_JUMP_FACTOR = env.int("BILLING_JUMP_FACTOR", default=10)
# Credits that one hand gives or takes at most on an account within a day; more waits for a second person. "none" asks
# for no second person.
_approval_above = env.str("BILLING_APPROVAL_ABOVE_CREDITS", default="10000")
BILLING_APPROVAL_ABOVE_CREDITS = None if _approval_above.lower() == "none" else Decimal(_approval_above)
# Credits are told to be low at this many per cent of what there was when some were last added.
BILLING_CREDITS_LOW_PERCENT = env.int("BILLING_CREDITS_LOW_PERCENT", default=20)
# Credits that a customer may buy at once, and hours after which an order that nobody paid is withdrawn.
BILLING_PURCHASE_MIN_CREDITS = Decimal(env.str("BILLING_PURCHASE_MIN_CREDITS", default="1"))
BILLING_PURCHASE_MAX_CREDITS = Decimal(env.str("BILLING_PURCHASE_MAX_CREDITS", default="100000"))
BILLING_PURCHASE_LAPSES_HOURS = env.int("BILLING_PURCHASE_LAPSES_HOURS", default=168)
# Days from an invoice's issue to its due date.
BILLING_PAYMENT_TERMS_DAYS = env.int("BILLING_PAYMENT_TERMS_DAYS", default=14)
# Days after a charge failed, or an invoice was overdue, on which it is charged or reminded of again.
BILLING_DUNNING_DAYS: list[int] = env.list("BILLING_DUNNING_DAYS", cast=int, default=[1, 3, 5, 7])
# Days after that until the subscription is past due, and then until it ends; without the latter it never does.
BILLING_DUNNING_GRACE_DAYS = env.int("BILLING_DUNNING_GRACE_DAYS", default=14)
BILLING_PAST_DUE_CANCEL_DAYS: int | None = env.int("BILLING_PAST_DUE_CANCEL_DAYS", default=0) or None
# Lets webhooks go to plain HTTP and to this machine or a private network, though never to a cloud's metadata. For
# development, and where the receivers and everybody who may set one are the operator's own.
BILLING_WEBHOOKS_ALLOW_LOCAL = env.bool("BILLING_WEBHOOKS_ALLOW_LOCAL", default=False)
# Who collects money: "stub" (test payment methods, no network) or "stripe".
BILLING_PROVIDER = env.str("BILLING_PROVIDER", default="stub")
BILLING_STRIPE_API_KEY = env.str("BILLING_STRIPE_API_KEY", default="")
BILLING_STRIPE_API_BASE = env.str("BILLING_STRIPE_API_BASE", default="https://api.stripe.com")
# Signing secrets of the webhook endpoint, by commas: two while one replaces the other.
BILLING_STRIPE_WEBHOOK_SECRETS: list[str] = env.list("BILLING_STRIPE_WEBHOOK_SECRETS", default=[])
# How often one may call the API, as "20/m" (per s, m or h) or "none": a key, all keys of an organization together, what
# comes without a valid key from one address of the network, and everything from one address.
BILLING_RATE_LIMIT_KEY = env.str("BILLING_RATE_LIMIT_KEY", default="60000/m")
BILLING_RATE_LIMIT_ORGANIZATION = env.str("BILLING_RATE_LIMIT_ORGANIZATION", default="120000/m")
BILLING_RATE_LIMIT_KEYLESS = env.str("BILLING_RATE_LIMIT_KEYLESS", default="600/m")
BILLING_RATE_LIMIT_ADDRESS = env.str("BILLING_RATE_LIMIT_ADDRESS", default="none")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- Logs: one JSON object a line on standard error ---

LOGGING = logging_config(level=env.str("LOG_LEVEL", default="INFO"))
