from typing import Any


def logging_config(*, level: str) -> dict[str, Any]:
    """The ``LOGGING`` setting: every record as one line of JSON on standard error, from ``level`` up."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "billing.infra.logs.JsonFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own handlers would write each record a second time, as plain text.
            "django": {"handlers": [], "level": level, "propagate": True},
            # Our own line per request says more than Django's warning about a 4xx, which carries the path as typed.
            "django.request": {"handlers": [], "level": "ERROR", "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
        },
    }
