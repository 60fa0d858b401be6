"""Secrets as they are stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from billing.infra import encryption
from billing.infra.encryption import UnreadableSecret


@given(st.text())
def test_what_went_in_comes_out(text: str) -> None:
    stored = encryption.encrypt(text, purpose="a")
    assert encryption.is_encrypted(stored)
    assert encryption.decrypt(stored, purpose="a") == text
    assert len(text) < 4 or text not in stored


def test_the_same_text_never_looks_the_same() -> None:
    assert encryption.encrypt("JBSWY3DP", purpose="a") != encryption.encrypt("JBSWY3DP", purpose="a")


def test_a_new_key_closes_and_the_old_one_still_opens(settings: Settings) -> None:
    settings.BILLING_ENCRYPTION_KEYS = ["old"]
    before = encryption.encrypt("JBSWY3DP", purpose="a")
    settings.BILLING_ENCRYPTION_KEYS = ["new", "old"]
    after = encryption.encrypt("JBSWY3DP", purpose="a")
    assert encryption.decrypt(before, purpose="a") == encryption.decrypt(after, purpose="a") == "JBSWY3DP"
    settings.BILLING_ENCRYPTION_KEYS = ["new"]
    assert encryption.decrypt(after, purpose="a") == "JBSWY3DP"
    with pytest.raises(UnreadableSecret):
        encryption.decrypt(before, purpose="a")


def test_without_keys_of_their_own_the_secret_key_serves(settings: Settings) -> None:
    settings.BILLING_ENCRYPTION_KEYS = []
    settings.SECRET_KEY = "one"
    stored = encryption.encrypt("JBSWY3DP", purpose="a")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "two", ["one"]
    assert encryption.decrypt(stored, purpose="a") == "JBSWY3DP"


@pytest.mark.parametrize("wrong", ["JBSWY3DP", "sealed:", "sealed:AAAA", "sealed:é"])
def test_what_no_key_closed_is_not_taken_for_a_secret(wrong: str) -> None:
    with pytest.raises(UnreadableSecret):
        encryption.decrypt(wrong, purpose="a")


def test_a_secret_of_one_purpose_does_not_serve_another() -> None:
    with pytest.raises(UnreadableSecret):
        encryption.decrypt(encryption.encrypt("JBSWY3DP", purpose="a"), purpose="b")


def test_a_changed_secret_is_refused() -> None:
    stored = encryption.encrypt("JBSWY3DP", purpose="a")
    for at in (len(encryption.PREFIX) + 3, len(stored) // 2, len(stored) - 6):
        changed = stored[:at] + ("A" if stored[at] != "A" else "B") + stored[at + 1 :]
        with pytest.raises(UnreadableSecret):
            encryption.decrypt(changed, purpose="a")
