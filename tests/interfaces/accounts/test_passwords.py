"""What is taken for a password, and what is done with it: nothing but that it is compared."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from marketplace.accounts import passwords
from marketplace.accounts.adapter import AccountAdapter
from tests.support.people import PASSWORD, person, sign_in


def is_taken(password: str) -> bool:
    try:
        validate_password(password)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("password", "taken"),
    [
        ("countinghouse-2026", False),
        ("COUNTING house 12", False),
        ("c0ol-billing-nights", False),
        ("my.invoice.is.late", False),
        ("cobalt-nights-of-june", True),
        # Of who invoices here, and of where this is: BILLING_ISSUER_NAME, ALLOWED_HOSTS.
        ("ask-northwind-first", False),
        ("ask-traders-first", False),
        ("portal-to-nowhere", False),
        ("commercial-breaks", True),
    ],
)
def test_words_of_the_house_are_refused(settings: Settings, password: str, taken: bool) -> None:
    settings.BILLING_ISSUER = settings.BILLING_ISSUER | {"name": "Northwind Traders Ltd"}
    settings.ALLOWED_HOSTS = ["portal.northwind.com"]
    assert is_taken(password) == taken


def test_short_parts_of_names_are_no_words(settings: Settings) -> None:
    settings.BILLING_ISSUER = settings.BILLING_ISSUER | {"name": "A & B Inc"}
    settings.ALLOWED_HOSTS = ["pay.ab.eu", "*", "127.0.0.1"]
    assert passwords.words() == passwords.WORDS


@pytest.mark.parametrize(
    "password",
    [
        "only small letters",
        "ONLY GREAT LETTERS",
        "583920174655",
        "        . .         ",
        "пароль на каждый день",
        "🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊🦊",
        "long and longer " * 8,
    ],
)
@pytest.mark.django_db
def test_any_letters_will_do_and_each_of_them_counts(password: str) -> None:
    """No rule of composition, at least 64 characters, and nothing of it cut off, trimmed or made small."""
    assert is_taken(password)
    user = person()
    user.set_password(password)
    user.save()
    others = [password[:-1], password + "x", password.swapcase(), password.strip()]
    for other in {each for each in others if each != password}:
        assert not user.check_password(other)
    assert sign_in(Client(), user, password=password).status_code == 302


@pytest.mark.django_db
def test_the_old_one_is_asked_for_with_the_new_one(client: Client) -> None:
    user = person()
    sign_in(client, user)
    new = "another good password"
    for old, changed in (("", False), ("wrong", False), (PASSWORD, True)):
        client.post("/account/password/change/", {"oldpassword": old, "password1": new, "password2": new})
        user.refresh_from_db()
        assert user.check_password(new) == changed, old


@pytest.mark.django_db
def test_it_is_good_until_somebody_changes_it() -> None:
    user = person(date_joined=timezone.now() - timedelta(days=3_650))
    assert sign_in(Client(), user)["Location"] == "/dashboard/"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("login", {"password": "current-password"}),
        ("signup", {"password1": "new-password"}),
        (
            "password/change",
            {"oldpassword": "current-password", "password1": "new-password", "password2": "new-password"},
        ),
        ("reauthenticate", {"password": "current-password"}),
    ],
)
def test_fields_hide_it_and_leave_it_to_managers_and_paste(path: str, fields: dict[str, str]) -> None:
    client = Client()
    if path not in ("login", "signup"):
        sign_in(client, person())
    page = client.get(f"/account/{path}/").content.decode()
    for name, meaning in fields.items():
        (field,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page)
        assert 'type="password"' in field
        assert f'autocomplete="{meaning}"' in field
        assert not re.search(r"onpaste|maxlength|readonly", field)


DRAWN = 300


@pytest.mark.django_db
def test_codes_are_random_and_long_enough(rf: Any) -> None:
    """Codes by mail, recovery codes and keys of apps: no two alike, and of as many kinds as their length can have."""
    mailed = {AccountAdapter(rf.get("/")).generate_email_verification_code() for _ in range(DRAWN)}
    assert len(mailed) == DRAWN
    # Six of the 20 letters and 8 digits that allauth draws from: 28 bits at 5 tries in 5 minutes.
    assert min(len(re.sub(r"\W", "", each)) for each in mailed) >= 6
    keys = {generate_totp_secret() for _ in range(DRAWN)}
    assert len(keys) == DRAWN
    assert all(re.fullmatch(r"[A-Z2-7]{32}", key) for key in keys), "160 bits"
    owners = [person(f"p{number}@example.com") for number in range(20)]
    recovery = [code for owner in owners for code in RecoveryCodes.activate(owner).get_unused_codes()]
    assert len(set(recovery)) == len(recovery) == 200
    assert all(re.fullmatch(r"[0-9a-f]{8}", code) for code in recovery), "32 bits"
