"""Forms of the shop."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    """E-mail address and password. One message for every failure, so that it does not tell which address is known."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail address"
        self.fields["username"].widget.attrs |= {"autocomplete": "username", "inputmode": "email"}
        self.error_messages["invalid_login"] = "This e-mail address and password do not go together."
