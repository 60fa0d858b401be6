"""The demo partner: every state once, made once."""

from datetime import timedelta

import pytest

from billing.accounts import operations as accounts_operations
from marketplace.models import Listing, ListingTransition, PartnerMember
from marketplace.partners import demo, queries
from tests.support import catalogs, partners
from tests.support.partners import NOW

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("has_catalog", [True, False])
def test_every_state_once(has_catalog: bool) -> None:
    if has_catalog:
        catalogs.sync()
    accounts_operations.create_user(email="owner@demo.example", password=partners.PASSWORD)
    for day in range(2):
        demo.load(email="owner@demo.example", now=NOW + timedelta(days=day))
    states = sorted(f"{row.status} {row.change}".strip() for row in Listing.objects.all())
    assert states == ["draft", "published", "published", "published submitted", "rejected", "submitted"]
    assert (queries.count_waiting(), len(queries.list_published(limit=9))) == (2, 3)
    steps = ListingTransition.objects.count()
    demo.load(email="owner@demo.example", now=NOW)
    assert (ListingTransition.objects.count(), PartnerMember.objects.get().role) == (steps, "admin")


def test_a_new_login_of_the_demo_is_an_admin_too() -> None:
    for address in ("one@demo.example", "two@demo.example"):
        accounts_operations.create_user(email=address, password=partners.PASSWORD)
        demo.load(email=address, now=NOW)
    assert PartnerMember.objects.count() == 2
