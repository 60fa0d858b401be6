"""Standard Webhooks, checked against its published example and its rules."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from billing.notifications import signing

# The example that the specification's own libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_example() -> None:
    assert signing.sign(SECRET, message_id=ID, timestamp=TIMESTAMP, body=BODY) == SIGNATURE


def test_the_rules_by_hand() -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    expected = hmac.new(b"k" * 32, b"id-1.1700000000.{}", hashlib.sha256).digest()
    signed = signing.sign(secret, message_id="id-1", timestamp=1700000000, body=b"{}")
    assert signed == "v1," + base64.b64encode(expected).decode()


@pytest.mark.parametrize(
    ("message_id", "timestamp", "body"),
    [(ID + "x", TIMESTAMP, BODY), (ID, TIMESTAMP + 1, BODY), (ID, TIMESTAMP, BODY + b" ")],
)
def test_every_part_is_signed(message_id: str, timestamp: int, body: bytes) -> None:
    assert signing.sign(SECRET, message_id=message_id, timestamp=timestamp, body=body) != SIGNATURE


def test_headers_carry_a_signature_for_each_secret_in_order() -> None:
    second = signing.new_secret()
    at = datetime.fromtimestamp(TIMESTAMP, UTC).replace(microsecond=999_999)
    headers = signing.headers([second, SECRET], message_id=ID, body=BODY, at=at)
    assert headers["webhook-id"] == ID
    assert headers["webhook-timestamp"] == str(TIMESTAMP)
    first, last = headers["webhook-signature"].split(" ")
    assert last == SIGNATURE
    assert first == signing.sign(second, message_id=ID, timestamp=TIMESTAMP, body=BODY)


def test_a_secret_is_256_random_bits() -> None:
    made = {signing.new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
