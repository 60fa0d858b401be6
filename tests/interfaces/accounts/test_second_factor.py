"""The second factor: asked for at sign-in, owed by staff everywhere, and each code good once."""

import importlib
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal import auth as recovery_codes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connections
from django.http import HttpRequest
from django.test import Client, RequestFactory
from pytest_django import Settings

from billing.infra import encryption
from billing.models import Organization, User
from marketplace.accounts import freshness, second_factor
from tests.support import factories, people
from tests.support.people import PASSWORD, app, code, person, sign_in

STEP = 30


@pytest.fixture
def required(settings: Settings) -> None:
    settings.BILLING_STAFF_SECOND_FACTOR = True


@pytest.fixture
def staff(db: None, required: None) -> User:
    user = person("staff@example.com", is_staff=True, is_superuser=True)
    user.groups.add(Group.objects.get_or_create(name="finance")[0])
    return user


def give(client: Client, text: str, path: str = "/account/2fa/authenticate/") -> Any:
    return client.post(path, {"code": text})


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands in the middle of a step and is moved by steps."""

    class Clock:
        now = float(int(time.time()) // STEP * STEP + STEP // 2)

        def move(self, steps: int) -> None:
            self.now += steps * STEP

        def code(self, secret: str, steps: int = 0) -> str:
            return str(format_hotp_value(hotp_value(secret, int(self.now) // STEP + steps)))

    standing = Clock()
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time.time", lambda: standing.now)
    return standing


@pytest.mark.django_db
def test_it_is_asked_for_after_the_password(client: Client) -> None:
    user = person()
    secret = app(user)
    assert sign_in(client, user, follow="/dashboard/")["Location"] == "/account/2fa/authenticate/"
    assert not is_in(client)
    assert "Second factor" in client.get("/account/2fa/authenticate/").content.decode()
    assert client.get("/dashboard/")["Location"].startswith("/account/login/")
    sign_in(client, user, follow="/dashboard/")
    assert give(client, "000000").status_code == 200
    assert not is_in(client)
    assert give(client, code(secret))["Location"] == "/dashboard/"
    assert is_in(client)


@pytest.mark.django_db
@pytest.mark.parametrize("steps", [0, -1, 1])
def test_a_code_is_good_once_and_those_before_it_no_more(clock: Any, steps: int) -> None:
    """A step off is taken, as clocks are; but neither that code again, nor an older one, for as long as it is shown."""
    user = person()
    secret = app(user)
    used = clock.code(secret, steps)
    outcomes = []
    for text in (used, used, clock.code(secret, steps - 1)):
        client = Client()
        sign_in(client, user)
        give(client, text)
        outcomes.append(is_in(client))
    assert outcomes == [True, False, False]
    # Even where the cache has forgotten it (allauth does after one step) it is used.
    clock.move(1)
    cache.clear()
    client = Client()
    sign_in(client, user)
    give(client, used)
    assert not is_in(client)
    give(client, clock.code(secret, steps))
    assert is_in(client)


@pytest.mark.django_db
@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_how_far_a_clock_may_be_off(clock: Any, steps: int, is_good: bool) -> None:
    user = person()
    secret = app(user)
    client = Client()
    sign_in(client, user)
    give(client, clock.code(secret, steps))
    assert is_in(client) == is_good


@pytest.mark.usefixtures("real_db")
def test_one_code_at_many_places_at_once_lets_in_one() -> None:
    text = code(app(person()))
    authenticator = Authenticator.objects.get()
    barrier = threading.Barrier(8)

    def run(_: int) -> bool:
        try:
            barrier.wait(30)
            return second_factor.claim(authenticator, text)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 1


@pytest.mark.django_db
def test_setting_it_up_uses_the_code_and_shows_recovery_codes_once(client: Client) -> None:
    user = person()
    sign_in(client, user)
    page = client.get("/account/2fa/totp/activate/")
    secret = page.context["form"].secret
    assert secret in page.content.decode()
    assert "data:image/svg+xml" in page.content.decode()
    assert client.post("/account/2fa/totp/activate/", {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.exists()
    used = code(secret)
    answer = client.post("/account/2fa/totp/activate/", {"code": used})
    assert answer["Location"] == "/account/2fa/recovery-codes/"
    shown = re.findall(r"<li><code>(\d+)</code></li>", client.get("/account/2fa/recovery-codes/").content.decode())
    assert len(shown) == 10
    assert not re.search(r"<li><code>", client.get("/account/2fa/recovery-codes/").content.decode())
    # The code that set it up is used.
    other = Client()
    sign_in(other, user)
    give(other, used)
    assert not is_in(other)
    # Each recovery code lets in once.
    outcomes = []
    for _ in range(2):
        lost = Client()
        sign_in(lost, user)
        give(lost, shown[0])
        outcomes.append(is_in(lost))
    assert outcomes == [True, False]


@pytest.mark.django_db
def test_codes_cannot_be_guessed(client: Client) -> None:
    user = person()
    secret = app(user)
    sign_in(client, user)
    for number in range(5):
        give(client, f"{number:06}")
    assert "Too many tries" in give(client, code(secret)).content.decode()
    assert not is_in(client)


@pytest.mark.django_db
def test_one_s_own_is_removed_and_the_owner_told(client: Client) -> None:
    user = person()
    secret = app(user)
    sign_in(client, user)
    give(client, code(secret))
    assert client.post("/account/2fa/totp/deactivate/")["Location"] == "/account/2fa/"
    assert not Authenticator.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["2fa/totp/activate", "2fa/recovery-codes/generate", "email"])
def test_an_open_session_alone_changes_nothing_of_it(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = person()
    sign_in(client, user)
    later = time.time() + 301
    monkeypatch.setattr("marketplace.accounts.freshness.time.time", lambda: later)
    sent = {"password1": "x", "email": "new@example.com", "action_add": "1", "code": "1"}
    answer = client.post(f"/account/{path}/", sent)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/account/reauthenticate/")
    assert not Authenticator.objects.exists()


PAGES = ("/", "/dashboard/", "/dashboard/acme/", "/admin/", "/admin/billing/invoice/", "/nothing")


@pytest.fixture
def acme(db: None) -> Organization:
    return factories.organization(slug="acme")


def test_staff_without_one_are_sent_to_set_it_up(client: Client, staff: User, acme: Organization) -> None:
    assert sign_in(client, staff, follow="/admin/")["Location"] == "/admin/"
    for path in PAGES:
        answer = client.get(path)
        assert (answer.status_code, answer["Location"]) == (
            302,
            f"/account/2fa/totp/activate/?next={path.replace('/', '%2F')}",
        )
    refused = client.get("/api/billing/organizations/acme")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    posted = client.post("/dashboard/acme/members/invite/", {"email": "x@example.com", "role": "member"})
    assert posted["Location"].startswith("/account/2fa/totp/activate/")
    page = client.get("/account/2fa/totp/activate/?next=/admin/")
    assert page.status_code == 200
    assert "Staff sign in with a second factor" in page.content.decode()
    client.post("/account/2fa/totp/activate/", {"code": code(page.context["form"].secret)})
    assert client.get("/admin/").status_code == 200
    assert client.get("/api/billing/organizations/acme").status_code == 200


def test_staff_with_one_sign_in_with_it_at_the_admin_too(client: Client, staff: User) -> None:
    secret = app(staff)
    sent = {"username": staff.email, "password": PASSWORD, "next": "/admin/"}
    by_admin = client.post("/admin/login/?next=/admin/", sent)
    assert (by_admin.status_code, by_admin["Location"].partition("?")[0]) == (302, "/account/login/")
    assert not is_in(client)
    assert sign_in(client, staff, follow="/admin/")["Location"] == "/account/2fa/authenticate/"
    assert give(client, code(secret))["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_a_session_from_before_gains_nothing_by_its_being_set_up_elsewhere(staff: User) -> None:
    """Somebody with the password alone signed in before the second factor was there."""
    early = Client()
    sign_in(early, staff)
    secret = app(staff)
    assert early.get("/admin/")["Location"] == "/account/2fa/reauthenticate/?next=%2Fadmin%2F"
    assert early.get("/api/billing/plans").status_code == 403
    # The password once more is not enough; the code is.
    early.post("/account/reauthenticate/", {"password": PASSWORD})
    assert early.get("/admin/").status_code == 302
    answer = early.post("/account/2fa/reauthenticate/", {"code": code(secret), "next": "/admin/"})
    assert answer["Location"] == "/admin/"
    assert early.get("/admin/").status_code == 200


def test_staff_cannot_take_it_off(client: Client, staff: User) -> None:
    secret = app(staff)
    sign_in(client, staff)
    give(client, code(secret))
    assert "Staff keep their second factor" in client.post("/account/2fa/totp/deactivate/").content.decode()
    assert Authenticator.objects.filter(user=staff).exists()


@pytest.mark.usefixtures("required")
def test_customers_owe_none(client: Client, acme: Organization) -> None:
    sign_in(client, people.member(acme))
    assert client.get("/dashboard/acme/").status_code == 200
    assert client.get("/admin/login/").status_code == 403


def test_where_it_is_not_required_staff_go_on(client: Client, staff: User, settings: Settings) -> None:
    settings.BILLING_STAFF_SECOND_FACTOR = False
    sign_in(client, staff)
    assert client.get("/admin/").status_code == 200


def test_production_requires_it_and_a_first_look_does_not() -> None:
    def required_by(name: str) -> str:
        program = f"from billing_project.settings.{name} import *; print(BILLING_STAFF_SECOND_FACTOR)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={"SECRET_KEY": "".join(chr(97 + n % 26) for n in range(60)), "ALLOWED_HOSTS": "x.example.com"},
            check=True,
        )
        return done.stdout.strip()

    assert (required_by("production"), required_by("local")) == ("True", "False")


@pytest.mark.django_db
def test_a_request_without_a_session_asks_the_database_nothing(required: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert not second_factor.is_owed(HttpRequest())


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "is_fresh"), [(0, True), (299, True), (300, False)])
def test_acts_that_want_a_fresh_sign_in(
    client: Client, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch, seconds: int, is_fresh: bool
) -> None:
    user = person()
    sign_in(client, user)
    request = rf.post("/admin/")
    request.user, request.session = user, client.session
    at = client.session["account_authentication_methods"][-1]["at"]
    monkeypatch.setattr("marketplace.accounts.freshness.time.time", lambda: at + seconds)
    assert freshness.is_fresh(request) == is_fresh
    asked = freshness.ask_again(request)
    assert (asked is None) == is_fresh
    if asked is not None:
        assert asked["Location"] == "/account/reauthenticate/?next=%2Fadmin%2F"


@pytest.mark.django_db
def test_who_has_the_database_has_no_second_factor() -> None:
    """What codes are made from is closed with a key of the settings, recovery codes included."""
    user = person()
    secret = app(user)
    recovery = recovery_codes.RecoveryCodes.activate(user)
    stored = {each.type: each.data for each in Authenticator.objects.all()}
    assert set(stored) == {"totp", "recovery_codes"}
    texts = [stored["totp"]["secret"], stored["recovery_codes"]["seed"]]
    assert all(encryption.is_encrypted(text) for text in texts)
    assert secret not in str(stored)
    assert not any(each in str(stored) for each in recovery.get_unused_codes())


@pytest.mark.django_db
def test_secrets_that_were_stored_as_they_are_are_closed_and_still_serve() -> None:
    migration: Any = importlib.import_module("marketplace.migrations.0003_second_factors_encrypted")
    user = person()
    secret = app(user)
    codes = recovery_codes.RecoveryCodes.activate(user).get_unused_codes()
    migration.decrypt(apps, None)
    assert Authenticator.objects.get(type="totp").data["secret"] == secret
    for _ in range(2):
        migration.encrypt(apps, None)
        assert secret not in str(Authenticator.objects.get(type="totp").data)
    assert second_factor.claim(Authenticator.objects.get(type="totp"), code(secret))
    assert recovery_codes.RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes() == codes
