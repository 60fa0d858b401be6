"""Production settings refuse what would be unsafe to serve."""

import os
import subprocess
import sys

import pytest

STRONG = "vJ9-2mQx_7RkT4wLz8pHn3BcYf6sDgE1aUoVi5XyNtKq0WrMhZ"


def load(**variables: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-c", "import billing_project.settings.production"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "insecure-key-for-this-machine-only"}, "SECRET_KEY is a default value"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY is too weak"),
        ({"SECRET_KEY": STRONG[:49]}, "SECRET_KEY is too weak"),
        ({"SECRET_KEY": STRONG}, "ALLOWED_HOSTS is not set"),
    ],
)
def test_production_refuses_to_start(variables: dict[str, str], sentence: str) -> None:
    done = load(**variables)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert sentence in last


def test_production_starts_with_a_secret_and_a_host() -> None:
    done = load(SECRET_KEY=STRONG, ALLOWED_HOSTS="billing.example.com")
    assert (done.returncode, done.stderr) == (0, "")
