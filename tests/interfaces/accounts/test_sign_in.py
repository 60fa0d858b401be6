"""Sign-in: by e-mail address, closed against guessing, and saying nothing about who is known."""

import re
import time
from typing import Any

import pytest
from django.core import mail
from django.core.cache.backends.redis import RedisCache
from django.test import Client
from pytest_django import Settings
from redis.exceptions import ConnectionError as RedisGone

from billing.accounts import operations
from billing.models import User
from tests.support import factories, people
from tests.support.people import PASSWORD, person, sign_in

pytestmark = pytest.mark.django_db

TRIES = 5
REFUSED = "Too many tries"


def test_it_leads_to_where_one_wanted_to_go_but_never_elsewhere(client: Client) -> None:
    user = people.member(factories.organization(slug="acme"))
    assert client.get("/dashboard/acme/")["Location"] == "/account/login/?next=/dashboard/acme/"
    assert sign_in(client, user, follow="/dashboard/acme/")["Location"] == "/dashboard/acme/"
    assert client.get("/dashboard/acme/").status_code == 200
    assert client.post("/account/logout/", follow=True).redirect_chain == [("/", 302)]
    assert client.get("/dashboard/acme/").status_code == 302
    for elsewhere in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        assert sign_in(Client(), user, follow=elsewhere)["Location"] == "/dashboard/", elsewhere


def test_the_address_counts_however_it_is_written(client: Client) -> None:
    user = person("ada@example.com")
    assert client.post("/account/login/", {"login": " ADA@Example.com", "password": PASSWORD}).status_code == 302
    assert client.session["_auth_user_id"] == str(user.id)


def test_a_wrong_password_and_an_unknown_address_are_told_alike(client: Client) -> None:
    user = person()
    known, unknown = (
        client.post("/account/login/", {"login": login, "password": "x"}) for login in (user.email, "no@example.com")
    )
    for answer in (known, unknown):
        assert answer.status_code == 200
        assert "do not go together" in answer.content.decode()
    assert bare(known, user.email) == bare(unknown, "no@example.com")


def bare(answer: Any, login: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode()).replace(login, "")


def guess(times: int, login: str, **extra: Any) -> list[Any]:
    return [Client().post("/account/login/", {"login": login, "password": f"wrong-{n}"}, **extra) for n in range(times)]


@pytest.mark.parametrize(("wrong", "is_let_in"), [(TRIES - 1, True), (TRIES, False), (TRIES + 1, False)])
def test_after_so_many_wrong_ones_the_right_password_is_refused_too(wrong: int, is_let_in: bool) -> None:
    user = person()
    guess(wrong, user.email)
    answer = sign_in(Client(), user)
    assert (answer.status_code == 302) == is_let_in
    assert (REFUSED in answer.content.decode()) != is_let_in


def test_it_opens_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    user = person()
    guess(TRIES, user.email)
    now = time.time()
    for seconds, is_let_in in ((290, False), (301, True)):
        with monkeypatch.context() as later:
            later.setattr("allauth.core.internal.ratelimit.time.time", lambda at=now + seconds: at)
            assert (sign_in(Client(), user).status_code == 302) == is_let_in, seconds


def test_an_unknown_address_is_closed_like_a_known_one() -> None:
    guess(TRIES, "nobody@example.com")
    assert REFUSED in guess(1, "nobody@example.com")[0].content.decode()


def test_others_are_not_closed_out_with_it() -> None:
    guess(TRIES, person().email)
    assert sign_in(Client(), person("bob@example.com")).status_code == 302


def test_one_place_trying_many_accounts_is_stopped() -> None:
    user = person()
    for number in range(10):
        guess(1, f"p{number}@example.com", REMOTE_ADDR="203.0.113.7")
    here = {"login": user.email, "password": PASSWORD}
    assert REFUSED in Client().post("/account/login/", here, REMOTE_ADDR="203.0.113.7").content.decode()
    assert Client().post("/account/login/", here, REMOTE_ADDR="203.0.113.8").status_code == 302


@pytest.mark.parametrize(("proxies", "is_stopped"), [(0, True), (1, False)])
def test_where_one_is_cannot_be_forged(settings: Settings, proxies: int, is_stopped: bool) -> None:
    """Without a proxy of ours the header is the visitor's own words; with one, its last entry is the proxy's."""
    settings.BILLING_TRUSTED_PROXIES = proxies
    for number in range(10):
        guess(1, f"p{number}@example.com", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    answer = guess(1, "p11@example.com", HTTP_X_FORWARDED_FOR="198.51.100.11")[0]
    assert (REFUSED in answer.content.decode()) == is_stopped
    # Behind the proxy, what stands before its own entry is forged, and changes nothing.
    if proxies:
        for number in range(10):
            guess(1, f"q{number}@example.com", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}, 192.0.2.1")
        forged = guess(1, "q11@example.com", HTTP_X_FORWARDED_FOR="198.51.100.99, 192.0.2.1")[0]
        assert REFUSED in forged.content.decode()


def test_guesses_at_the_password_of_an_open_session_are_counted_too(client: Client) -> None:
    user = person()
    client.force_login(user)
    for number in range(TRIES):
        client.post("/account/reauthenticate/", {"password": f"wrong-{number}"})
    assert client.post("/account/reauthenticate/", {"password": PASSWORD}).status_code == 200


def test_without_the_cache_nobody_is_let_in_and_it_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user = person()

    def gone(*_: object, **__: object) -> None:
        raise RedisGone("gone")

    monkeypatch.setattr(RedisCache, "add", gone)
    answer = sign_in(client, user)
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "Nobody can be let in" in answer.content.decode()


def test_who_is_closed_is_told_so_only_with_the_password(client: Client) -> None:
    user = person(is_active=False)
    assert sign_in(client, user)["Location"] == "/account/inactive/"
    assert "closed" in client.get("/account/inactive/").content.decode()
    assert "do not go together" in sign_in(client, user, password="x").content.decode()


def test_whoever_an_operator_made_confirms_the_address_at_the_first_sign_in(client: Client) -> None:
    user = operations.create_user(email="ada@example.com", password=PASSWORD)
    assert sign_in(client, user)["Location"] == "/account/confirm-email/"
    found = re.search(r"^[A-Z0-9-]{6,}$", str(mail.outbox[0].body), re.MULTILINE)
    assert found
    assert client.post("/account/confirm-email/", {"code": found[0]})["Location"] == "/dashboard/"
    assert sign_in(Client(), user)["Location"] == "/dashboard/"


def test_without_a_mail_server_nothing_waits_for_mail(client: Client, settings: Settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = False
    user = operations.create_user(email="ada@example.com", password=PASSWORD)
    assert sign_in(client, user)["Location"] == "/dashboard/"


def test_a_mail_server_that_is_away_stops_nobody(client: Client, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    person()
    answer = client.post("/account/password/reset/", {"email": "ada@example.com"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/password/reset/done/")


def link() -> str:
    found = re.search(r"http://testserver(/account/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert found, mail.outbox[-1].body
    return found[1]


def test_a_forgotten_password_is_replaced_by_mail_once(client: Client) -> None:
    user = person()
    other = Client()
    sign_in(other, user)
    answers = [
        client.post("/account/password/reset/", {"email": email}) for email in (user.email, "nobody@example.com")
    ]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, "/account/password/reset/done/")}
    assert [each.to for each in mail.outbox] == [[user.email], ["nobody@example.com"]]
    assert "/password/reset/key/" not in str(mail.outbox.pop().body)
    path = link()
    page = client.get(path, follow=True)
    weak = client.post(page.request["PATH_INFO"], {"password1": "short", "password2": "short"})
    assert weak.status_code == 200
    new = "another good password"
    done = client.post(page.request["PATH_INFO"], {"password1": new, "password2": new})
    assert done["Location"] == "/account/password/reset/key/done/"
    again = Client().get(path, follow=True).content.decode()
    assert "good no more" in again
    assert other.get("/dashboard/")["Location"].startswith("/account/login/"), "who was signed in elsewhere is out"
    assert "do not go together" in sign_in(Client(), user).content.decode()
    assert sign_in(Client(), user, password=new).status_code == 302


@pytest.mark.parametrize("path", ["x-y", "0-set-password", "zzzzzzzzzzzzzzzz-aaaaaa-" + "b" * 32])
def test_a_link_that_nobody_was_sent_changes_nothing(client: Client, path: str) -> None:
    user = person()
    page = client.get(f"/account/password/reset/key/{path}/", follow=True)
    assert page.status_code in (200, 404)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_the_address_is_changed_once_the_new_one_is_confirmed(client: Client) -> None:
    user = person()
    sign_in(client, user)
    sent = client.post("/account/email/", {"email": "new@example.com", "action_add": "1"})
    assert sent.status_code == 302
    assert User.objects.get().email == "ada@example.com"
    (message,) = [each for each in mail.outbox if each.to == ["new@example.com"]]
    found = re.search(r"^[A-Z0-9-]{6,}$", str(message.body), re.MULTILINE)
    assert found
    client.post("/account/confirm-email/", {"code": found[0]})
    assert User.objects.get().email == "new@example.com"


@pytest.mark.parametrize(
    "path",
    ["login", "signup", "logout", "password/reset", "password/change", "reauthenticate", "email", "2fa/totp/activate"],
)
def test_a_form_without_its_token_is_refused_with_a_page(path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person())
    answer = client.post(f"/account/{path}/", {"login": "a", "password": "b"})
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()
