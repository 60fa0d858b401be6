"""Endpoints: made, changed, paused and deleted, and what is refused on the way."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from billing.kernel.errors import Invalid
from billing.models import AuditEntry, WebhookDelivery, WebhookEndpoint, WebhookSecret
from billing.notifications import dispatch, keeping, operations, queries, signing
from billing.notifications.operations.endpoints import ENDPOINTS_MAX, SECRETS_MAX, TooManyEndpoints, TooManySecrets
from billing.notifications.queries import EndpointNotFound
from billing.notifications.targets import InvalidUrl
from billing.notifications.topics import InvalidTopics
from tests.support import factories, webhooks
from tests.support.webhooks import ACTOR, NOW

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.com/t/very-secret-path"


def test_it_is_made_with_a_secret_that_signs() -> None:
    made, secret = webhooks.endpoint(URL, patterns=["quota.*", "invoice.issued"], description="  staging ")
    row = webhooks.fresh(made)
    assert (row.url, row.topics, row.description) == (URL, ["invoice.issued", "quota.*"], "staging")
    assert (row.paused_at, row.pause_reason, row.created_at) == (None, "", NOW)
    signing.sign(secret, message_id="m", timestamp=1, body=b"")
    assert [keeping.reveal(each.text) for each in WebhookSecret.objects.filter(endpoint=made)] == [secret]


def test_neither_url_nor_secret_is_audited() -> None:
    made, secret = webhooks.endpoint(URL)
    operations.rotate(endpoint=made, actor=ACTOR, now=NOW)
    operations.update(endpoint=made, url=URL + "/2", actor=ACTOR, now=NOW)
    rows = AuditEntry.objects.filter(object_id=str(made.id), organization_id=made.organization_id)
    assert [row.act for row in rows.order_by("recorded_at")] == ["webhook.create", "webhook.rotate", "webhook.update"]
    said = str([(row.details, row.reason) for row in rows])
    assert "very-secret-path" not in said
    assert secret not in said


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"url": "http://hooks.example.com/"}, InvalidUrl, "url"),
        ({"url": "https://127.0.0.1/"}, InvalidUrl, "url"),
        ({"patterns": []}, InvalidTopics, "topics"),
        ({"patterns": ["a b"]}, InvalidTopics, "topics"),
        ({"description": "x" * 201}, Invalid, "description"),
        ({"description": "a\nb"}, Invalid, "description"),
    ],
)
def test_a_bad_field_is_named_and_nothing_written(fields: dict[str, object], error: type[Invalid], field: str) -> None:
    with pytest.raises(error) as refusal:
        webhooks.endpoint(**{"url": URL, **fields})  # type: ignore[arg-type]
    assert refusal.value.details["field"] == field
    assert not WebhookEndpoint.objects.exists()
    made, _ = webhooks.endpoint(URL)
    before = webhooks.fresh(made)
    with pytest.raises(error):
        operations.update(endpoint=made, actor=ACTOR, now=NOW, **fields)  # type: ignore[arg-type]
    assert webhooks.fresh(made).__dict__.keys() == before.__dict__.keys()
    assert (webhooks.fresh(made).url, webhooks.fresh(made).topics) == (before.url, before.topics)


def test_local_targets_are_a_matter_of_the_setting(settings: Settings) -> None:
    settings.BILLING_WEBHOOKS_ALLOW_LOCAL = True
    webhooks.endpoint("http://127.0.0.1:8000/")
    with pytest.raises(InvalidUrl):
        webhooks.endpoint("http://169.254.169.254/")


def test_an_organization_has_at_most_twenty() -> None:
    organization = factories.organization()
    made = [webhooks.endpoint(URL, organization=organization)[0] for _ in range(ENDPOINTS_MAX)]
    with pytest.raises(TooManyEndpoints):
        webhooks.endpoint(URL, organization=organization)
    webhooks.endpoint(URL)
    operations.disable(endpoint=made[0], actor=ACTOR, now=NOW)
    webhooks.endpoint(URL, organization=organization)
    assert len(queries.list_endpoints(organization)) == ENDPOINTS_MAX


def test_only_what_is_given_changes() -> None:
    made, _ = webhooks.endpoint(URL, patterns=["a.*"], description="one")
    operations.update(endpoint=made, description="", actor=ACTOR, now=NOW)
    row = webhooks.fresh(made)
    assert (row.url, row.topics, row.description) == (URL, ["a.*"], "")
    operations.update(endpoint=made, patterns=["b"], actor=ACTOR, now=NOW)
    assert webhooks.fresh(made).topics == ["b"]


def test_pausing_twice_keeps_the_first_time() -> None:
    made, _ = webhooks.endpoint(URL)
    operations.pause(endpoint=made, actor=ACTOR, now=NOW)
    operations.pause(endpoint=made, actor=ACTOR, now=NOW + timedelta(hours=1))
    row = webhooks.fresh(made)
    assert (row.paused_at, row.pause_reason) == (NOW, "manual")
    operations.resume(endpoint=made, actor=ACTOR, now=NOW)
    operations.resume(endpoint=made, actor=ACTOR, now=NOW)
    assert webhooks.fresh(made).paused_at is None


def test_a_deleted_one_is_gone_with_its_secrets_and_its_queue() -> None:
    made, _ = webhooks.endpoint(URL)
    webhooks.emit(made.organization, "a", "b")
    dispatch.distribute(now=NOW)
    operations.disable(endpoint=made, actor=ACTOR, now=NOW)
    assert not WebhookSecret.objects.filter(endpoint=made).exists()
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"skipped"}
    assert queries.list_endpoints(made.organization) == []
    webhooks.emit(made.organization, "c")
    dispatch.distribute(now=NOW)
    assert WebhookDelivery.objects.count() == 2
    for act in (operations.disable, operations.pause, operations.resume, operations.rotate):
        with pytest.raises(EndpointNotFound):
            act(endpoint=made, actor=ACTOR, now=NOW)
    with pytest.raises(EndpointNotFound):
        queries.get_endpoint(made.organization, str(made.id))


def test_another_organizations_is_not_found() -> None:
    made, _ = webhooks.endpoint(URL)
    for organization, name in ((factories.organization(), str(made.id)), (made.organization, "nonsense")):
        with pytest.raises(EndpointNotFound):
            queries.get_endpoint(organization, name)


def test_each_rotation_keeps_the_old_for_its_grace_and_no_more_than_five_sign() -> None:
    made, first = webhooks.endpoint(URL)
    _, second = operations.rotate(endpoint=made, actor=ACTOR, now=NOW, grace=timedelta(hours=1))
    rows = WebhookSecret.objects.filter(endpoint=made).order_by("id")
    assert [(keeping.reveal(row.text), row.expires_at) for row in rows] == [
        (first, NOW + timedelta(hours=1)),
        (second, None),
    ]
    for _ in range(SECRETS_MAX - 2):
        operations.rotate(endpoint=made, actor=ACTOR, now=NOW)
    with pytest.raises(TooManySecrets):
        operations.rotate(endpoint=made, actor=ACTOR, now=NOW)
    # The first has run out by then, and makes room.
    operations.rotate(endpoint=made, actor=ACTOR, now=NOW + timedelta(hours=1))
    assert first not in [keeping.reveal(row.text) for row in rows.all()]


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_a_grace_is_within_a_week(grace: timedelta) -> None:
    made, _ = webhooks.endpoint(URL)
    with pytest.raises(Invalid):
        operations.rotate(endpoint=made, actor=ACTOR, now=NOW, grace=grace)
    assert WebhookSecret.objects.filter(endpoint=made).count() == 1
