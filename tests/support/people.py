"""People as they sign in: with a confirmed address, and an authenticator app in their hand."""

import time
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.test import Client

from billing.accounts import actors, members, operations
from billing.models import Organization, Role, User

PASSWORD = "correct horse battery"
OPERATOR = actors.operator("ada")


def person(email: str = "ada@example.com", **fields: object) -> User:
    """Somebody whose address is confirmed; ``fields`` are written as they are."""
    user = operations.create_user(email=email, password=PASSWORD)
    User.objects.filter(id=user.id).update(**fields)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    user.refresh_from_db()
    return user


def member(organization: Organization, role: str = Role.OWNER, email: str = "ada@example.com") -> User:
    user = person(email)
    members.set_role(organization=organization, user=user, role=role, actor=OPERATOR)
    return user


def app(user: User) -> str:
    """An authenticator app set up for ``user``; returns its key."""
    secret: str = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code(secret: str, *, steps: int = 0) -> str:
    """What the app shows, or did or will, so many half minutes from now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))


def enter(client: Client, user: User, *, ago: float = 0) -> None:
    """``user`` signed in by their password ``ago`` seconds before now; ``force_login`` alone leaves no trace of it."""
    client.force_login(user)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - ago}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def sign_in(client: Client, user: User, *, password: str = PASSWORD, follow: str = "") -> Any:
    """By the page, as a person does; ``follow`` is where they wanted to go."""
    return client.post("/account/login/", {"login": user.email, "password": password, "next": follow})
