"""A service that sells answers of a language model: it reserves before the call and settles what the call took.

pip install flask
BILLING_URL=http://127.0.0.1:8000 BILLING_KEY=… BILLING_ORGANIZATION=demo flask --app app run --port 5000
curl -d '{"prompt": "How are you?"}' -H "Content-Type: application/json" http://127.0.0.1:5000/answers
"""

import json
import os
import urllib.error
import urllib.request
import uuid

from flask import Flask, request

BILLING = os.environ["BILLING_URL"] + "/api/billing/organizations/" + os.environ["BILLING_ORGANIZATION"]
HEADERS = {"Authorization": "Bearer " + os.environ["BILLING_KEY"], "Content-Type": "application/json"}
TOKENS_MAX = 500

app = Flask(__name__)


def billing(path, body):
    """The status and the document of one call to the billing system."""
    call = urllib.request.Request(BILLING + path, json.dumps(body).encode(), HEADERS)
    try:
        with urllib.request.urlopen(call, timeout=5) as answer:  # the address it was started with # nosec B310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def ask_model(prompt):
    """Stands for the real one: nobody knows how long the answer will be before it is there."""
    if "fail" in prompt:
        raise TimeoutError("the model did not answer")
    words = " ".join(reversed(prompt.split()))
    return words, max(1, len(words))


@app.post("/answers")
def answer():
    # Whoever calls again with the same id, because the line broke, gets no second reservation.
    name = request.headers.get("X-Request-Id") or str(uuid.uuid4())
    wanted = {"event": "llm_generated_tokens", "quantity": TOKENS_MAX, "expires_in": 60, "idempotency_key": name}
    status, reservation = billing("/quotas/reservations", wanted)
    if status == 402:
        return {"error": "plan_limit_exceeded", "detail": reservation["detail"]}, 402
    if status not in (200, 201):
        return {"error": "billing_unavailable"}, 503
    kept = f"/quotas/reservations/{reservation['id']}"
    try:
        text, tokens = ask_model(request.get_json()["prompt"])
    except Exception:
        billing(kept + "/release", {})  # If even this is lost, the reservation expires by itself.
        return {"error": "model_failed"}, 502
    status, settled = billing(kept + "/settle", {"quantity": tokens})
    return {"text": text, "tokens": tokens, "usage_event": settled.get("usage_event")}, 200 if status == 200 else 503
