"""What people type in to come aboard."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from allauth.account import forms as account
from allauth.account.models import EmailAddress
from allauth.account.utils import setup_user_email
from allauth.mfa.adapter import get_adapter as get_second_factor_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.contrib.auth import password_validation
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.accounts import fields
from billing.accounts import operations as accounts_operations
from billing.kernel.errors import Invalid
from billing.lifecycle import sign_up
from billing.models import Role, User
from marketplace.accounts import choices, second_factor, sessions

LIVES = (
    ("30", _("30 days")),
    ("90", _("90 days")),
    ("365", _("a year")),
    ("0", _("until it is revoked")),
)
LABELS = {
    "login": _("E-mail address"),
    "email": _("E-mail address"),
    "oldpassword": _("Present password"),
    "password1": _("Password"),
    "password2": _("The same password again"),
    "code": _("Code"),
}
# Whoever comes to subscribe to a plan they have chosen is not given another one first.
CHOOSING = "/subscribe/"


class Labelled:
    """Fields say what they are by their label alone: what stands in them is gone when one types."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs.pop("placeholder", None)
            field.label = LABELS.get(name, field.label)


class SignInForm(Labelled, account.LoginForm):  # type: ignore[misc]  # allauth has no types
    pass


class ResetForm(Labelled, account.ResetPasswordForm):  # type: ignore[misc]
    pass


class NewPasswordForm(Labelled, account.ResetPasswordKeyForm):  # type: ignore[misc]
    pass


class ChangePasswordForm(Labelled, account.ChangePasswordForm):  # type: ignore[misc]
    pass


class EmailForm(Labelled, account.AddEmailForm):  # type: ignore[misc]
    pass


class PasswordAgainForm(Labelled, account.ReauthenticateForm):  # type: ignore[misc]
    pass


class EmailCodeForm(Labelled, account.ConfirmEmailVerificationCodeForm):  # type: ignore[misc]
    pass


class SetUpForm(Labelled, ActivateTOTPForm):  # type: ignore[misc]
    pass


class SignUpForm(Labelled, account.SignupForm):  # type: ignore[misc]
    """A person and their organization."""

    organization = forms.CharField(
        label=_("Organization"),
        max_length=fields.NAME_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    name = forms.CharField(
        label=_("Your name"),
        max_length=fields.NAME_LENGTH_MAX,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    zone = forms.ChoiceField(
        label=_("Time zone"), choices=choices.zones, initial="UTC", help_text=_("Days and months of use begin by it.")
    )
    currency = forms.ChoiceField(
        label=_("Currency"), choices=choices.currencies, help_text=_("What you are invoiced in. It cannot be changed.")
    )
    field_order = ("organization", "name", "email", "password1", "currency", "zone")

    def clean_organization(self) -> str:
        return _one_line(self.cleaned_data["organization"])

    def clean_name(self) -> str:
        return _one_line(self.cleaned_data["name"])

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        try:
            found: tuple[User | None, HttpResponse | None] = super().try_save(request)
        except accounts_operations.UserExists:
            # Somebody took the address since it was looked up; the answer is the same as if they had before.
            self.account_already_exists = True
            found = super().try_save(request)
        return found

    def save(self, request: HttpRequest) -> User:
        typed = self.cleaned_data
        with transaction.atomic():
            made = sign_up.sign_up(
                email=typed["email"],
                password=typed["password1"],
                name=typed["name"],
                organization_name=typed["organization"],
                zone=typed["zone"],
                currency=typed["currency"],
                has_plan=not request.POST.get("next", "").startswith(CHOOSING),
                now=timezone.now(),
            )
            setup_user_email(request, made.user, [EmailAddress(email=made.user.email)])
        return made.user


class CodeForm(Labelled, AuthenticateForm):  # type: ignore[misc]
    """The second factor at sign-in; a code of an authenticator app counts once."""

    def clean_code(self) -> str:
        return _claimed(self, super().clean_code)


class CodeAgainForm(Labelled, ReauthenticateForm):  # type: ignore[misc]
    """The second factor again, before what is sensitive."""

    def clean_code(self) -> str:
        return _claimed(self, super().clean_code)


class InviteForm(forms.Form):
    """Whom to ask in, and as what."""

    email = forms.EmailField(label=_("E-mail address"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, roles: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = forms.ChoiceField(label=_("Role"), choices=roles, initial=Role.MEMBER)


class JoinForm(forms.Form):
    """An account for the address that was asked."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=fields.NAME_LENGTH_MAX,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html(),
    )


class KeyForm(forms.Form):
    """A new API key."""

    name = forms.CharField(
        label=_("Name"), max_length=accounts_operations.KEY_NAME_LENGTH_MAX, help_text=_("What it is for.")
    )
    days = forms.ChoiceField(label=_("Good for"), choices=LIVES, initial="365")
    # The form's own, so that a double click makes one key.
    once = forms.CharField(
        required=False, max_length=64, widget=forms.HiddenInput, initial=lambda: secrets.token_urlsafe(32)
    )
    field_order = ("name", "scopes", "days")

    def __init__(self, *args: Any, scopes: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"] = forms.MultipleChoiceField(
            label=_("What it may do"), choices=scopes, widget=forms.CheckboxSelectMultiple
        )
        self.order_fields(self.field_order)


def _claimed(form: Any, clean: Callable[[], str]) -> str:
    try:
        code = clean()
        authenticator = form.authenticator
        if authenticator.type == Authenticator.Type.TOTP and not second_factor.claim(authenticator, code):
            raise get_second_factor_adapter().validation_error("incorrect_code")
    except forms.ValidationError:
        sessions.refused("code", form.user)
        raise
    return code


def _one_line(text: str) -> str:
    try:
        return fields.name(text, blank=True)
    except Invalid as error:
        raise forms.ValidationError(error.message) from error
