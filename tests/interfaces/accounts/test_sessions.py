"""Sessions: named at random, kept as rows, ended by time and by hand, and told of in the log."""

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from pytest_django import Settings

from billing.models import User
from marketplace.models import OpenSession
from tests.support.people import PASSWORD, app, code, person, sign_in

pytestmark = pytest.mark.django_db
HOUR = 3600
MINUTE = 60


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Names and fields of the log's lines, but for those of requests."""

    def said() -> list[tuple[str, dict[str, Any]]]:
        lines = [(each.getMessage(), dict(getattr(each, "fields", {}))) for each in caplog.records]
        return [(name, fields) for name, fields in lines if name.startswith("accounts.")]

    with caplog.at_level(logging.INFO, logger="billing"):
        yield said


def entered(**fields: object) -> tuple[Client, User]:
    client, user = Client(), person(**fields)  # type: ignore[arg-type]
    sign_in(client, user)
    assert is_in(client)
    return client, user


def is_in(client: Client) -> bool:
    return client.get("/account/email/").status_code == 200


def name_of(client: Client) -> str:
    return str(client.cookies["sessionid"].value)


def age(client: Client, *, began: float, seen: float) -> None:
    """As if the session had begun and last been used so many seconds ago."""
    session, now = client.session, time.time()
    session["session_began"], session["session_seen"] = now - began, now - seen
    session.save()


def test_its_name_is_random_and_made_by_the_server() -> None:
    user = person()
    chosen = "chosenbywhoeverasks0000000000000"
    names = set()
    for _ in range(20):
        client = Client()
        client.cookies["sessionid"] = chosen
        sign_in(client, user)
        names.add(name_of(client))
    assert len(names - {chosen}) == 20
    # 32 characters of 36: 165 bits.
    assert all(re.fullmatch(r"[a-z0-9]{32}", name) for name in names)
    assert Session.objects.filter(session_key__in=names).count() == 20


def test_signing_in_leaves_no_name_from_before() -> None:
    """A second factor is waited for in a session, in which nobody is in yet: its name is not the one that lets in."""
    client, user = Client(), person()
    secret = app(user)
    sign_in(client, user)
    before = name_of(client)
    client.post("/account/2fa/authenticate/", {"code": code(secret)})
    assert is_in(client)
    assert name_of(client) != before
    assert not Session.objects.filter(session_key=before).exists()


def test_nobody_is_in_by_a_name_that_is_no_row() -> None:
    client, _ = entered()
    Session.objects.all().delete()
    assert not is_in(client)


def test_signing_out_ends_it_at_the_server() -> None:
    client, _ = entered()
    kept = name_of(client)
    client.post("/account/logout/")
    assert not Session.objects.filter(session_key=kept).exists()
    client.cookies["sessionid"] = kept
    assert not is_in(client)


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/account/email/", "/account/2fa/", "/compare", "/admin/"])
def test_every_page_leads_out(path: str) -> None:
    client, _ = entered(is_staff=True, is_superuser=True)
    page = client.get(path, follow=True)
    assert page.status_code == 200
    assert re.search(r'<form[^>]+action="/account/logout/"|<a[^>]+href="/account/logout/"', page.content.decode())


@pytest.mark.parametrize(
    ("began", "seen", "staff", "goes_on"),
    [
        (10 * HOUR, 72 * HOUR - MINUTE, False, True),
        (10 * HOUR, 72 * HOUR, False, False),
        (336 * HOUR - MINUTE, 0, False, True),
        (336 * HOUR, 0, False, False),
        (2 * HOUR, HOUR - MINUTE, True, True),
        (2 * HOUR, HOUR, True, False),
        (12 * HOUR - MINUTE, 0, True, True),
        (12 * HOUR, 0, True, False),
    ],
)
def test_it_ends_by_age_and_by_being_left_alone(
    events: Any, began: float, seen: float, staff: bool, goes_on: bool
) -> None:
    client, user = entered(is_staff=staff)
    age(client, began=began, seen=seen)
    kept = name_of(client)
    assert is_in(client) == goes_on
    assert Session.objects.filter(session_key=kept).exists() == goes_on
    ended = [fields for name, fields in events() if name == "accounts.session_ended"]
    assert ended == ([] if goes_on else [{"user": user.pk, "reason": "age" if seen == 0 else "idle"}])


def test_what_is_used_is_not_left_alone_but_grows_old_all_the_same() -> None:
    client, _ = entered()
    for began in (70 * HOUR, 140 * HOUR, 330 * HOUR):
        age(client, began=began, seen=71 * HOUR)
        assert is_in(client)
        assert client.session["session_seen"] == pytest.approx(time.time(), abs=30)
    age(client, began=337 * HOUR, seen=0)
    assert not is_in(client)


def test_a_call_in_one_that_is_over_is_nobody_s() -> None:
    client, _ = entered(is_superuser=True)
    assert client.get("/api/billing/invoices").status_code == 200
    age(client, began=13 * HOUR, seen=0)
    assert client.get("/api/billing/invoices").status_code == 401


def test_one_from_before_there_was_an_end_begins_now() -> None:
    client, _ = entered()
    session = client.session
    del session["session_began"], session["session_seen"]
    session.save()
    assert is_in(client)
    assert client.session["session_began"] == pytest.approx(time.time(), abs=30)


def test_how_long_is_by_settings(settings: Settings) -> None:
    settings.BILLING_SESSION_IDLE_HOURS = 1
    client, _ = entered()
    age(client, began=2 * HOUR, seen=HOUR)
    assert not is_in(client)


def test_proving_oneself_again_gives_it_another_name() -> None:
    client, user = entered()
    for path, given in (
        ("/account/reauthenticate/", {"password": PASSWORD}),
        ("/account/2fa/reauthenticate/", {"code": code(app(user))}),
    ):
        before = name_of(client)
        wrong = client.post(path, dict.fromkeys(given, "000000"))
        assert (wrong.status_code, name_of(client)) == (200, before)
        assert client.post(path, given).status_code == 302
        assert name_of(client) != before
        assert is_in(client)
        assert not Session.objects.filter(session_key=before).exists()


def test_a_new_password_ends_all_others() -> None:
    user = person()
    here, there = Client(), Client()
    for each in (here, there):
        sign_in(each, user)
    new = "another good password"
    fields = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post("/account/password/change/", fields).status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)


def test_the_log_tells_who_came_and_went(events: Any) -> None:
    client, user = entered()
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    client.post("/account/logout/")
    assert events() == [
        ("accounts.signed_in", {"user": user.pk}),
        ("accounts.proved_again", {"user": user.pk, "method": "password"}),
        ("accounts.signed_out", {"user": user.pk}),
    ]


def test_the_log_tells_who_did_not_get_in_and_no_address(events: Any, caplog: pytest.LogCaptureFixture) -> None:
    user = person()
    sign_in(Client(), user, password="wrong")
    Client().post("/account/login/", {"login": "nobody@example.com", "password": "wrong"})
    app(user)
    client = Client()
    sign_in(client, user)
    client.post("/account/2fa/authenticate/", {"code": "000000"})
    assert events() == [
        ("accounts.sign_in_failed", {"method": "password", "user": user.pk}),
        ("accounts.sign_in_failed", {"method": "password", "user": ""}),
        ("accounts.sign_in_failed", {"method": "code", "user": user.pk}),
    ]
    assert "@example.com" not in caplog.text


def test_a_code_by_mail_is_good_in_the_session_that_asked_for_it_alone() -> None:
    asked, other = Client(), Client()
    user = person()
    sign_in(asked, user)
    asked.post("/account/email/", {"email": "new@example.com", "action_add": "1"})
    sign_in(other, user)
    found = re.search(r"^[A-Z0-9-]{6,}$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found
    other.post("/account/confirm-email/", {"code": found[0]})
    user.refresh_from_db()
    assert user.email == "ada@example.com"
    asked.post("/account/confirm-email/", {"code": found[0]})
    user.refresh_from_db()
    assert user.email == "new@example.com"


@pytest.mark.parametrize(("seconds", "is_good"), [(590, True), (601, False)])
def test_a_code_by_mail_is_good_for_ten_minutes(monkeypatch: pytest.MonkeyPatch, seconds: int, is_good: bool) -> None:
    client, user = entered()
    client.post("/account/email/", {"email": "new@example.com", "action_add": "1"})
    found = re.search(r"^[A-Z0-9-]{6,}$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found
    later = time.time() + seconds
    monkeypatch.setattr("allauth.account.internal.flows.code_verification.time.time", lambda: later)
    client.post("/account/confirm-email/", {"code": found[0]})
    user.refresh_from_db()
    assert (user.email == "new@example.com") == is_good


def test_a_new_password_by_mail_is_not_a_second_factor() -> None:
    user, client = person(), Client()
    app(user)
    client.post("/account/password/reset/", {"email": user.email})
    found = re.search(r"http://testserver(/account/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert found
    page = client.get(found[1], follow=True)
    new = "another good password"
    done = client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
    assert done["Location"] == "/account/password/reset/key/done/"
    assert not is_in(client)
    assert sign_in(client, user, password=new)["Location"] == "/account/2fa/authenticate/"
    assert not is_in(client)


def test_hours_are_the_documentation_s(settings: Settings) -> None:
    page = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text()
    said = dict(re.findall(r"^\| `(BILLING_\w*SESSION\w*_HOURS)` \| (\d+) \|", page, re.MULTILINE))
    assert len(said) == 4
    assert {name: str(getattr(settings, name)) for name in said} == said


def listed(client: Client) -> list[str]:
    """Ids of the sessions that can be ended from the page, which is all but this one."""
    page = client.get("/account/sessions/")
    assert page.status_code == 200
    text = page.content.decode()
    found = re.findall(r'name="session" value="([^"]+)"', text)
    assert text.count("<time") == 2 * (len(found) + 1)
    assert text.count("This one") == 1
    return found


def three(user: User) -> list[Client]:
    clients = [Client() for _ in range(3)]
    for client in clients:
        sign_in(client, user)
    # Somebody else is in too, and stays so.
    sign_in(Client(), person("bob@example.com"))
    return clients


def test_one_sees_one_s_sessions_and_ends_one_of_them(events: Any) -> None:
    user = person()
    here, there, elsewhere = three(user)
    ids = listed(here)
    assert len(ids) == 2
    ours = OpenSession.objects.get(session_id=name_of(there))
    assert here.post("/account/sessions/", {"session": str(ours.id)})["Location"] == "/account/sessions/"
    assert [is_in(each) for each in (here, there, elsewhere)] == [True, False, True]
    assert len(listed(here)) == 1
    assert events()[-1] == ("accounts.session_ended", {"user": user.pk, "reason": "by hand"})


def test_or_all_others_at_once() -> None:
    here, there, elsewhere = three(person())
    here.post("/account/sessions/")
    assert [is_in(each) for each in (here, there, elsewhere)] == [True, False, False]
    assert listed(here) == []
    assert OpenSession.objects.count() == Session.objects.count() == 2


@pytest.mark.parametrize("of", ["other", "self", "nobody", "nonsense"])
def test_none_of_another_person_nor_this_one(of: str) -> None:
    here, _, _ = three(person())
    theirs = OpenSession.objects.get(user__email="bob@example.com")
    mine = OpenSession.objects.get(session_id=name_of(here))
    given = {"other": str(theirs.id), "self": str(mine.id), "nobody": str(uuid4()), "nonsense": "x' or 1=1"}[of]
    here.post("/account/sessions/", {"session": given})
    assert is_in(here)
    assert Session.objects.count() == 4


def test_an_open_session_alone_ends_no_other() -> None:
    here, there, _ = three(person())
    session = here.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time() - 301}]
    session.save()
    asked = here.post("/account/sessions/")
    assert asked["Location"].startswith("/account/reauthenticate/")
    assert is_in(there)
    here.post(asked["Location"], {"password": PASSWORD, "next": "/account/sessions/"})
    assert not is_in(there), "what was asked for goes on once it was proved"


def test_the_list_follows_a_session_that_gets_another_name() -> None:
    user = person()
    here, there, _ = three(user)
    there.post("/account/reauthenticate/", {"password": PASSWORD})
    new = "another good password"
    here.post("/account/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert listed(here) == []
    other = Client()
    sign_in(other, user, password=new)
    assert len(listed(here)) == 1
    age(other, began=80 * HOUR, seen=73 * HOUR)
    assert listed(here) == []
    here.post("/account/logout/")
    assert not OpenSession.objects.filter(session_id=name_of(here)).exists()
