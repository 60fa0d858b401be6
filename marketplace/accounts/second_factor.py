"""The second factor: what a session has shown, and that a code of an authenticator app counts once.

RFC 6238, section 5.2: a verifier must not accept the second attempt of a code. allauth keeps used codes in the cache
for one time step, while with a tolerance they are good for three, and does not remember the one that set the app up.
Here the last time step that was accepted is kept in the authenticator's row, and only later ones are.
"""

from __future__ import annotations

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from billing.models import User

# What secrets are encrypted for.
PURPOSE = "second factor"
_STEP = "step_used"


def claim(authenticator: Authenticator, code: str) -> bool:
    """Use up ``code``, and all that are older, of an authenticator app. False for a wrong one and a used one."""
    secret = decrypt(authenticator.data["secret"])
    step = next((step for step in totp.yield_hotp_counters_from_time() if _is_code(secret, step, code)), None)
    if step is None:
        return False
    with transaction.atomic():
        # Two sign-ins with one code take turns here.
        stored = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
        if step <= stored.data.get(_STEP, -1):
            return False
        stored.data[_STEP] = step
        stored.save(update_fields=["data"])
    return True


def is_owed(request: HttpRequest) -> bool:
    """Whether who asks is staff and has not shown a second factor in this session."""
    if not (settings.BILLING_STAFF_SECOND_FACTOR and settings.SESSION_COOKIE_NAME in request.COOKIES):
        return False
    user = request.user
    return isinstance(user, User) and is_staff(user) and not is_shown(request, user)


def is_staff(user: User) -> bool:
    return user.is_staff or user.is_superuser


def is_shown(request: HttpRequest, user: User) -> bool:
    """That it was given in this very session: one begun with the password alone, before there was a second factor,
    gains nothing by its being set up elsewhere."""
    return any(each.get("method") == "mfa" for each in get_authentication_records(request, user))


def show(request: HttpRequest, authenticator: Authenticator) -> None:
    """Keep in the session that the second factor was given when it was set up."""
    record_authentication(request, authenticator.user, "mfa", id=authenticator.pk, type=authenticator.type)


def has(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def _is_code(secret: str, step: int, code: str) -> bool:
    return bool(compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, step))))
