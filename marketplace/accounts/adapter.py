"""What allauth asks the house."""

from __future__ import annotations

from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.infra import client_address, encryption, logs
from marketplace.accounts import freshness, second_factor, sessions

# What the page that follows shows by itself.
_UNSAID = (
    "account/messages/logged_in.txt",
    "account/messages/logged_out.txt",
    "mfa/messages/totp_activated.txt",
    "mfa/messages/recovery_codes_generated.txt",
)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("This e-mail address and password do not go together."),
        "too_many_login_attempts": _("Too many tries. Wait five minutes: until then no password is taken."),
        "email_taken": _("Somebody signs in with this address already."),
        "incorrect_code": _("This is not the code, or it was used."),
    }

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Whoever signed in a moment ago has just given their password: it is not asked for twice in a row."""
        return not freshness.is_fresh(self.request)

    def get_client_ip(self, request: HttpRequest) -> str:
        """Guesses are counted by the address that everything else takes for the visitor's."""
        return client_address.of(request.META)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        sessions.failed(request, email=credentials.get("email", ""))

    def is_ajax(self, request: HttpRequest) -> bool:
        """These are pages, whatever the visitor says they would like."""
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away stops nobody: what they did is done, and a code can be asked for again."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as error:
            logs.event("accounts.mail_failed", error=error, template=template_prefix)

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if message_template not in _UNSAID:
            super().add_message(request, level, message_template, *args, **kwargs)


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("This is not the code, or it was used."),
        "cannot_delete_authenticator": _("Staff keep their second factor."),
    }

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text, purpose=second_factor.PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text, purpose=second_factor.PURPOSE)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not (settings.BILLING_STAFF_SECOND_FACTOR and second_factor.is_staff(authenticator.user))
