"""A person's data: all of it told, all of it taken out, and the books as sound as before."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from billing.accounts import actors, invitations, members
from billing.accounts import operations as accounts_operations
from billing.accounts.actors import NotAllowed
from billing.kernel.errors import Invalid
from billing.lifecycle import clock, onboard, privacy, usage
from billing.lifecycle.privacy import PersonNotFound, SoleOwner
from billing.metering.offers import Offer
from billing.models import (
    AuditEntry,
    Invitation,
    Mail,
    MarketplaceSubscription,
    Membership,
    Organization,
    UsageEventPayload,
    User,
)
from billing.reporting import doctor
from marketplace.models import PartnerMember
from tests.support import catalogs, cli, factories, partners, people
from tests.support.factories import at

pytestmark = pytest.mark.django_db
OPERATOR = actors.operator("op")
ADA = "Ada.Lovelace@example.com"
PASSWORD = "correct horse battery staple 42"
MARCH = at("2026-03-01")


@pytest.fixture
def ada(db: None) -> User:
    """An owner, a billing contact, staff, signed in, and the author of an act."""
    catalogs.sync()
    acme = factories.sandbox(clock_at=MARCH, billing_email=ADA)
    for _ in range(2):
        invitations.invite(organization=acme, email=ADA, role="member", actor=OPERATOR, now=MARCH)
    user = accounts_operations.create_user(email=ADA, password=PASSWORD, name="Ada Lovelace")
    other = accounts_operations.create_user(email="other@example.com", password=PASSWORD)
    for each in (user, other):
        members.set_role(organization=acme, user=each, role="owner", actor=OPERATOR)
    User.objects.filter(id=user.id).update(is_staff=True, cleared_regions=["*"])
    user.groups.add(Group.objects.get_or_create(name="finance")[0])
    onboard.subscribe(organization=acme, plan_code="team", actor=OPERATOR, now=MARCH)
    usage.record([Offer(acme, "tokens", Decimal(2000), "a", payload={"note": "Ada"})], now=MARCH)
    clock.advance(organization=acme, to=at("2026-04-03"), actor=OPERATOR)
    user.refresh_from_db()
    members.set_role(
        organization=acme, user=other, role="admin", actor=actors.Actor(f"user:{user.id}", is_superuser=True)
    )
    members.set_role(organization=acme, user=other, role="owner", actor=OPERATOR)
    assert Client().login(username=ADA.lower(), password=PASSWORD) or Client().login(username=ADA, password=PASSWORD)
    EmailAddress.objects.create(user=user, email=ADA.lower(), verified=True, primary=True)
    people.app(user)
    partner = partners.partner()
    PartnerMember.objects.create(partner=partner, user=user, role="admin", created_at=MARCH)
    return user


def test_all_of_it_is_told(ada: User) -> None:
    told = privacy.export(email=ADA.upper(), actor=OPERATOR)
    assert told["person"]["name"] == "Ada Lovelace"
    assert [each["role"] for each in told["memberships"]] == ["owner"]
    assert len(told["billing_contact_of"]) == 1
    assert [each["act"] for each in told["acts"]] == ["membership.set"]
    assert len(told["invoices"]) == 1
    assert len(told["invitations"]) == 2
    assert [each["type"] for each in told["second_factors"]] == ["totp"]
    assert told["mails"]
    assert [(each["partner"], each["role"]) for each in told["partner_memberships"]] == [("northwind", "admin")]
    json.dumps(told)


def test_all_of_it_is_taken_out_and_the_books_stay_sound(ada: User) -> None:
    Session.objects.all().delete()
    browser = Client()
    browser.force_login(ada)
    assert Session.objects.count() == 1
    gone = privacy.erase(email=ADA, actor=OPERATOR, reason="asked for by letter")
    assert gone["memberships"] == gone["partner_memberships"] == 1
    assert not PartnerMember.objects.exists()
    assert gone["billing_contacts"] == 1
    assert gone["invitations"] == 2
    assert not Authenticator.objects.exists()
    assert all(each.revoked_at for each in Invitation.objects.all())
    ada.refresh_from_db()
    assert (ada.name, ada.is_active, ada.is_staff, ada.cleared_regions, ada.groups.count()) == ("", False, False, [], 0)
    assert not ada.has_usable_password()
    assert Session.objects.count() == 0
    assert AuditEntry.objects.filter(actor=f"user:{ada.id}").count() == 1
    with pytest.raises(PersonNotFound):
        privacy.export(email=ADA, actor=OPERATOR)
    with pytest.raises(PersonNotFound):
        privacy.erase(email=ADA, actor=OPERATOR, reason="again")
    assert where_it_stands("lovelace") == {"marketplace_invoices.customer"}
    assert doctor.verify() == []


def where_it_stands(word: str) -> set[str]:
    """Every column of every table that still has ``word`` in it."""
    found = set()
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type IN ('character varying', 'text', 'jsonb', 'ARRAY')""")
        for table, column in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE "{column}"::text ILIKE %s', [f"%{word}%"])
            if cursor.fetchone()[0]:
                found.add(f"{table}.{column}")
    return found


def test_the_only_owner_stays(ada: User) -> None:
    Membership.objects.exclude(user=ada).update(role="admin")
    with pytest.raises(SoleOwner):
        privacy.erase(email=ADA, actor=OPERATOR, reason="asked")
    ada.refresh_from_db()
    assert ada.is_active
    assert Organization.objects.filter(billing_email=ADA).exists()
    assert Mail.objects.filter(to=ADA).exists()


def test_who_may(ada: User) -> None:
    member = actors.Actor("user:1", roles={Organization.objects.get().id: "owner"})
    with pytest.raises(NotAllowed):
        privacy.export(email=ADA, actor=member)
    with pytest.raises(NotAllowed):
        privacy.erase(email=ADA, actor=member, reason="x")
    for nobody in ("", "nobody@example.com", "\x00"):
        with pytest.raises(PersonNotFound):
            privacy.export(email=nobody, actor=OPERATOR)
    with pytest.raises(Invalid):
        privacy.erase(email=ADA, actor=OPERATOR, reason=" ")


@pytest.mark.parametrize(
    ("keys", "before", "gone"),
    [(["a"], None, 1), (["b"], None, 0), ([], MARCH, 0), ([], at("2026-03-02"), 1)],
)
def test_payloads_are_forgotten(ada: User, keys: list[str], before: datetime | None, gone: int) -> None:
    acme = Organization.objects.get()
    count = privacy.forget_payloads(organization=acme, actor=OPERATOR, reason="asked", keys=keys, before=before)
    assert count == gone
    assert UsageEventPayload.objects.count() == 1 - gone
    assert doctor.verify() == []
    for wrong in ({}, {"keys": ["a"], "before": MARCH}):
        with pytest.raises(Invalid):
            privacy.forget_payloads(organization=acme, actor=OPERATOR, reason="asked", **wrong)  # type: ignore[arg-type]


def test_from_the_shell(ada: User) -> None:
    acme = Organization.objects.get()
    assert cli.shown("privacy", "export", ADA)["person"]["name"] == "Ada Lovelace"
    assert "1 payloads are gone." in cli.run("privacy", "forget", acme.slug, "--key", "a", "--reason", "asked").out
    assert cli.shown("privacy", "erase", ADA, "--reason", "asked")["memberships"] == 1
    assert cli.run("privacy", "export", ADA).code == 3


def test_from_where_terms_were_accepted_is_taken_out(ada: User) -> None:
    account = MarketplaceSubscription.objects.get()
    account.sla_acceptance = {"sla_version": "1", "accepted_by": f"user:{ada.id}", "from": "203.0.113.7"}
    account.save()
    assert privacy.export(email=ADA, actor=OPERATOR)["sla_acceptances"] == [account.sla_acceptance]
    privacy.erase(email=ADA, actor=OPERATOR, reason="asked")
    account.refresh_from_db()
    assert account.sla_acceptance == {"sla_version": "1", "accepted_by": f"user:{ada.id}", "from": ""}
