"""What a browser and a program meet where production's settings hold: cookies, TLS, hashes of passwords.

Another process, since settings are read once.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

# Asks without a database: cookies of a session come from its middleware, whatever its store does.
PROGRAM = """
import json, sys
import django
from django.conf import settings

# Files are not collected for this: their names come without digests.
settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
django.setup()

from django.contrib.auth.hashers import get_hasher
from django.core.cache import cache
from billing_project.celery import app as celery
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.test import Client, RequestFactory


def told(answer):
    return {"status": answer.status_code, **{name.lower(): value for name, value in answer.items()}}


class Store(SessionBase):
    def save(self, must_create=False):
        self._session_key = "a" * 32

    def load(self):
        return {}

    def exists(self, key):
        return False


def view(request):
    request.session["x"] = 1
    get_token(request)
    return HttpResponse()


ask = Client(raise_request_exception=False, headers={"Host": "billing.example.com"}).get
middleware = SessionMiddleware(CsrfViewMiddleware(view))
middleware.SessionStore = Store
cookies = middleware(RequestFactory().get("/", secure=True)).cookies
hasher = get_hasher()
print(json.dumps({
    "answers": {
        scheme: {path: told(ask(path, secure=scheme == "https")) for path in sys.argv[1:]}
        for scheme in ("http", "https")
    },
    "cookies": {name: {key: value for key, value in cookie.items() if value} for name, cookie in cookies.items()},
    "hash": {"algorithm": hasher.algorithm, "iterations": hasher.iterations},
    "backends": {
        "database": settings.DATABASES["default"]["OPTIONS"].get("sslmode"),
        "redis": cache._cache.get_client().connection_pool.connection_class.__name__,
        "broker": celery.connection().ssl is not False and celery.conf.broker_url.split(":")[0],
    },
    "settings": {name: getattr(settings, name) for name in ("DEBUG", "MESSAGE_STORAGE", "INSTALLED_APPS")},
}))
"""
STATIC = ["/static/site/a.txt", "/static/", "/static/site/", "/static/site", "/static/../pyproject.toml"]
NO_FILES = [
    *("/.git/config", "/.git/HEAD", "/.env", "/pyproject.toml", "/manage.py", "/billing_project/settings/base.py"),
    *("/config/plans.yaml", "/static/../../etc/passwd", "/static/%2e%2e/pyproject.toml", "/debug/", "/__debug__/"),
]
PAGES = ["/account/inactive/", "/api/docs", "/nothing"]
CALLS = ["/api/billing/organizations/x", "/api/nothing", "/api/policy/placements/evaluate", "/api/marketplace/review"]
PROBES = ["/healthz", "/internal/metrics"]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Any:
    static = tmp_path_factory.mktemp("static")
    (static / "site").mkdir()
    (static / "site" / "a.txt").write_text("a file")
    env = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "billing_project.settings.production",
        "SECRET_KEY": "vJ9-2mQx_7RkT4wLz8pHn3BcYf6sDgE1aUoVi5XyNtKq0WrMhZ",
        "ALLOWED_HOSTS": "billing.example.com,testserver",
        "STATIC_ROOT": str(static),
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing?sslmode=verify-full",
        "REDIS_URL": "rediss://127.0.0.1:1/0",
        "LOG_LEVEL": "CRITICAL",
    }
    asked = [*STATIC, *NO_FILES, *PAGES, *CALLS, *PROBES]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *asked], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def cases(paths: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths)


@pytest.mark.parametrize("name", ["__Host-sessionid", "__Host-csrftoken"])
def test_cookies_are_of_this_host_and_of_tls_alone(production: Any, name: str) -> None:
    """RFC 6265bis, section 4.1.3.2: a browser refuses one of this name that is not Secure, has a domain or a path."""
    assert len(production["cookies"]) == 2
    cookie = production["cookies"][name]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
    assert "domain" not in cookie


def test_messages_are_in_no_cookie(production: Any) -> None:
    assert production["settings"]["MESSAGE_STORAGE"] == "django.contrib.messages.storage.session.SessionStorage"


@cases([*PAGES, *STATIC])
def test_pages_are_led_to_tls(production: Any, path: str) -> None:
    answer = production["answers"]["http"][path]
    assert (answer["status"], answer["location"]) == (301, f"https://billing.example.com{path}")


@cases(CALLS)
def test_calls_without_tls_are_refused_rather_than_led_on(production: Any, path: str) -> None:
    answer = production["answers"]["http"][path]
    assert (answer["status"], answer["content-type"]) == (403, "application/problem+json")
    assert "location" not in answer
    assert production["answers"]["https"][path]["status"] != 403


@cases(PROBES)
def test_probes_speak_plainly(production: Any, path: str) -> None:
    assert production["answers"]["http"][path]["status"] == 200


@cases([*STATIC, *NO_FILES, *PAGES, *CALLS, *PROBES])
def test_every_answer_over_tls_says_what_a_browser_must_not(production: Any, path: str) -> None:
    answer = production["answers"]["https"][path]
    assert answer["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["referrer-policy"] == "same-origin"
    assert answer["cross-origin-opener-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer["content-security-policy"]
    assert "access-control-allow-origin" not in answer
    assert not {"server", "x-powered-by"} & answer.keys()


def test_a_file_is_served_and_folders_are_not_listed(production: Any) -> None:
    statuses = {path: production["answers"]["https"][path]["status"] for path in STATIC}
    assert statuses == dict.fromkeys(STATIC, 404) | {STATIC[0]: 200}


@cases(NO_FILES)
def test_nothing_of_the_source_is_served(production: Any, path: str) -> None:
    assert production["answers"]["https"][path]["status"] == 404


def test_passwords_are_hashed_as_django_does_by_itself(production: Any) -> None:
    """PBKDF2 with SHA-256, whose rounds OWASP puts at 600,000 or more."""
    assert production["hash"]["algorithm"] == "pbkdf2_sha256"
    assert production["hash"]["iterations"] >= 600_000


def test_what_is_for_development_is_not_there(production: Any) -> None:
    assert production["settings"]["DEBUG"] is False
    apps = production["settings"]["INSTALLED_APPS"]
    assert [name for name in apps if name.startswith(("examples", "debug_toolbar", "django_extensions"))] == []


def test_what_the_product_itself_calls_is_called_over_tls_where_the_url_says_so(production: Any) -> None:
    assert production["backends"] == {"database": "verify-full", "redis": "SSLConnection", "broker": "rediss"}
