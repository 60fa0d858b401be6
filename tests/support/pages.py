"""Whoever looks at pages, and what stands on them."""

import re
from html import unescape
from typing import Any

from django.test import Client

from billing.accounts import operations as accounts_operations
from billing.kernel.ids import new_id
from billing.models import Membership, Organization, Role, User

PASSWORD = "a-long-enough-password"


def sign_in(client: Client, organization: Organization | None, role: str = Role.OWNER, **fields: Any) -> User:
    """A new user with ``role`` in ``organization``, or in none."""
    user = accounts_operations.create_user(email=f"{new_id().hex}@example.com", password=PASSWORD)
    if fields:
        User.objects.filter(id=user.id).update(**fields)
    if organization is not None:
        Membership.objects.create(organization=organization, user=user, role=role)
    client.force_login(user)
    return user


def text(response: Any) -> str:
    """What a page says, blanks made one."""
    assert response.status_code == 200, response.status_code
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def rows(response: Any, table: str = "") -> list[list[str]]:
    """The cells of the first table after ``table``, an id or other text."""
    page = response.content.decode()
    body = (page.partition(table)[2] if table else page).partition("<tbody>")[2].partition("</tbody>")[0]
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")[:-1])
    return [[" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in row] for row in cells]
