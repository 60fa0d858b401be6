"""Passwords that name the house: the first that somebody guesses of its people."""

from __future__ import annotations

import re
from functools import cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from billing.models import User

# The list is on docs/accounts.md, with where the rest of it comes from.
WORDS = ("countinghouse", "billing", "invoice")
LETTERS_MIN = 5
_NOT_LETTERS = re.compile(r"[\W\d_]+")


class HouseWordsValidator:
    """Refuses a password that holds a word of the house, however it is written and parted."""

    def validate(self, password: str, user: User | None = None) -> None:
        letters = _NOT_LETTERS.sub("", password.casefold())
        found = next((word for word in words() if word in letters), None)
        if found is not None:
            raise ValidationError(
                _("It holds “%(word)s”, which anybody would try here."), code="house_word", params={"word": found}
            )

    def get_help_text(self) -> str:
        return _("No words of this house: its name, its address, what it is about.")


def words() -> tuple[str, ...]:
    """Ours, those of who invoices by their name, and the parts of the hosts' names but the last, in small letters."""
    return _words(settings.BILLING_ISSUER["name"], tuple(settings.ALLOWED_HOSTS))


@cache
def _words(issuer: str, hosts: tuple[str, ...]) -> tuple[str, ...]:
    parts = [part for host in hosts for part in host.strip(".").split(".")[:-1]]
    found = [_NOT_LETTERS.sub("", word.casefold()) for word in (*WORDS, *issuer.split(), *parts)]
    return tuple(dict.fromkeys(word for word in found if len(word) >= LETTERS_MIN))
