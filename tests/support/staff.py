"""People of the staff, signed in a moment ago."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from billing.accounts import operations
from billing.models import User
from tests.support import people


def staff(*groups: str, regions: tuple[str, ...] = ("eu",), superuser: bool = False, ago: float = 0) -> Client:
    """A browser in which somebody of these groups signed in ``ago`` seconds before now."""
    user = operations.create_user(email=f"staff{User.objects.count()}@example.com", password="correct horse battery 42")
    User.objects.filter(id=user.id).update(is_staff=True, is_superuser=superuser, cleared_regions=list(regions))
    user.groups.set(Group.objects.filter(name__in=groups))
    browser = Client()
    people.enter(browser, User.objects.get(id=user.id), ago=ago)
    return browser


def user_of(browser: Client) -> User:
    return User.objects.get(id=browser.session["_auth_user_id"])


def act(browser: Client, path: str, **given: Any) -> Any:
    """Open the page of an act, fill in its form, send it, and go where it leads."""
    page = browser.get(path)
    assert page.status_code == 200, page
    token = page.context["form"].initial["token"]
    return browser.post(path, {"confirmed": "1", "token": token, **given}, follow=True)


def act_on(browser: Client, listing: str, name: str, rows: list[Any], **given: Any) -> Any:
    """Choose rows of a list, an act, fill in what it asks, and send it."""
    chosen = {"action": name, "_selected_action": [row.pk for row in rows]}
    page = browser.post(listing, chosen)
    assert page.status_code == 200, page
    token = page.context["form"].initial["token"]
    return browser.post(listing, {"confirmed": "1", "token": token, **chosen, **given})
