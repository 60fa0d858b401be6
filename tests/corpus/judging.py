"""What an answer has to be, whatever was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection

from billing.kernel.errors import BillingError
from tests.corpus import signing
from tests.corpus.cases import Case
from tests.corpus.operations import JSON, Operation, faults_by
from tests.corpus.sending import Answer
from tests.corpus.stage import MARK, Stage

PROBLEM = "application/problem+json"
WANTED = {"type": str, "title": str, "status": int, "detail": str, "code": str, "request_id": str}
# Methods that promise to change nothing, and the reads that do all the same: a link to a provider's page makes the
# customer known there.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
READS_THAT_WRITE = frozenset({"readTenantPortal"})
_ROOT = str(Path(__file__).resolve().parents[2])
_MARKS = (
    r"Traceback \(most|psycopg|django\.|msgspec|site-packages|\bFile \"|\.py\b|<html|object at 0x|granian|kombu"
    r"|\bSELECT\b.+?\bFROM\b|INSERT INTO|UPDATE \w+ SET|DELETE FROM|violates|duplicate key value|relation \""
    r"|/(?:usr|home|root|dev|tmp|var|etc|proc)/\w"
)


# Who has no key that is one, and who may not write without a token of the page.
STRANGERS = frozenset({"nobody", "forged", "revoked", "expired"})
FORGERIES = frozenset({"owner without a token", "member without a token"})


@dataclass(frozen=True)
class Finding:
    """``kind`` is the promise that was broken, one of ``reports.KINDS``."""

    kind: str
    text: str


@cache
def leaks() -> re.Pattern[str]:
    """Signs of a stack, SQL or a path, names of tables and constraints, and names of classes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE '%\\_%'"
            " UNION SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        )
        tables = {name for (name,) in cursor.fetchall() if "_" in name}
    classes = {model.__name__ for model in apps.get_models()} | {each.__name__ for each in _errors(BillingError)}
    # One word alone is an English word.
    words = tables | {name for name in classes if re.search("[a-z][A-Z]", name)}
    named = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"{_MARKS}|{re.escape(_ROOT)}|\b(?:{named}|[A-Z]\w+Error|[A-Z]\w+Exception|DoesNotExist)\b")


def _errors(of: type[BillingError]) -> Iterator[type[BillingError]]:
    for each in of.__subclasses__():
        yield each
        yield from _errors(each)


def judge(case: Case, operation: Operation, answer: Answer, stage: Stage) -> Iterator[Finding]:
    """All but what needs the database."""
    if answer.status >= 500:
        yield Finding("5xx", f"{answer.status} {_start(answer)}\n{answer.defect[-1500:]}")
        return
    if answer.status >= 400:
        yield from refusal(case, answer)
    elif answer.status >= 300 and answer.status != 304:
        yield Finding("undocumented", f"sent elsewhere: {answer.status} {answer.headers.get('location')}")
    if case.family != "framing":
        yield from _documented(operation, answer)
    yield from _foreign(case, answer, stage)
    yield from _stranger(case, operation, answer)


def refusal(case: Case, answer: Answer) -> Iterator[Finding]:
    """A refusal says all that it has to, and nothing of what is inside."""
    yield from _problem(case, answer)
    yield from _leak(case, answer)


def _start(answer: Answer) -> str:
    return answer.content[:400].decode("utf-8", "replace")


def _problem(case: Case, answer: Answer) -> Iterator[Finding]:
    # What is not under /api is a page; and there is none of a HEAD.
    if case.method == "HEAD" or not _is_api(case.path):
        return
    if answer.media != PROBLEM:
        yield Finding("problem", f"{answer.status} is {answer.headers.get('content-type')}: {_start(answer)}")
        return
    said = answer.json
    wrong = [name for name, kind in WANTED.items() if type(said.get(name)) is not kind or said[name] == ""]
    if wrong or said["status"] != answer.status or said["request_id"] != answer.headers.get("x-request-id"):
        yield Finding("problem", f"{answer.status} {_start(answer)} lacks {wrong}")
    for error in said.get("errors", []):
        if not all(isinstance(error.get(name), str) for name in ("field", "code", "message")):
            yield Finding("problem", f"an error without its parts: {_start(answer)}")


def _headers(answer: Answer) -> dict[str, str]:
    """All but the one by which the web server names itself."""
    return {name: value for name, value in answer.headers.items() if name != "server"}


def _is_api(path: str) -> bool:
    return path.startswith("/api/") or path == "/api"


def _leak(case: Case, answer: Answer) -> Iterator[Finding]:
    # What the caller wrote may be said back to them.
    text = "\n".join(texts(answer.json)) if answer.media.endswith("json") else _start(answer)
    for found in leaks().finditer(f"{text}\n{_headers(answer)}"):
        is_echo = found[0] in answer.sent or json.dumps(found[0])[1:-1] in answer.sent
        if not is_echo and not (found[0] == "<html" and not _is_api(case.path)):
            yield Finding("leak", f"{found[0]!r} in {answer.status} {_start(answer)}")
            return


def texts(value: Any) -> Iterator[str]:
    """Every text in a document, and every name."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _documented(operation: Operation, answer: Answer) -> Iterator[Finding]:
    if answer.status not in operation.answers:
        yield Finding("undocumented", f"{answer.status} is not among the answers of {operation}: {_start(answer)}")
        return
    shape = operation.answers[answer.status]
    is_told = answer.status < 300 and answer.media == JSON and shape is not None
    if is_told and (fault := faults_by(shape, answer.json)):
        yield Finding("undocumented", f"{answer.status} is not of the documented shape: {fault}")


def _foreign(case: Case, answer: Answer, stage: Stage) -> Iterator[Finding]:
    secrets = stage.secrets.get(case.caller, ())
    text = answer.content.decode("utf-8", "replace")
    for secret in secrets:
        if secret in text and secret not in answer.sent:
            yield Finding("foreign", f"an id of the other organization, {secret}, in {answer.status} {_start(answer)}")
            return
    elsewhere = "<<own." if case.caller == "theirs" else "<<other."
    # What is common to both has its mark too.
    marks = {f"<<{mark[0]}.{mark[1]}>>" for mark in MARK.findall(case.path)}
    others = {mark for mark in marks if mark.startswith(elsewhere) and stage.fill(mark) in secrets}
    if others and answer.status < 400:
        yield Finding("foreign", f"{answer.status} for {', '.join(others)}: {_start(answer)}")


def _stranger(case: Case, operation: Operation, answer: Answer) -> Iterator[Finding]:
    if answer.status >= 400 or case.family == "framing":
        return
    if operation.id == "postProviderWebhook":
        ways = [value.partition(" ")[2] for name, value in case.headers if name.lower() == signing.HEADER]
        if not ways or (ways[0] or "rightly") not in signing.GOOD:
            yield Finding("stranger", f"{answer.status} for a delivery signed {ways}: {_start(answer)}")
        return
    is_stranger = case.caller in STRANGERS or (case.caller in FORGERIES and case.method not in SAFE)
    if is_stranger and not operation.is_public:
        yield Finding("stranger", f"{answer.status} for {case.caller}: {_start(answer)}")


def accepted(case: Case, operation: Operation, answer: Answer, stage: Stage) -> Iterator[Finding]:
    """What a request that succeeded has to be itself: JSON, and of the documented shape."""
    if answer.status >= 300 or not operation.is_write or case.method != operation.method or case.family == "framing":
        return
    # What a provider signed is taken as it stands, and read by a worker.
    if operation.id == "postProviderWebhook":
        return
    raw = stage.fill_bytes(case.body)
    if not raw:
        return
    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_none_such)
    except ValueError as error:
        yield Finding("accepted", f"{answer.status} for what is not JSON: {error}")
        return
    media = next((value for name, value in case.headers if name.lower() == "content-type"), JSON)
    schema = operation.bodies.get(media.partition(";")[0].strip().lower())
    if schema is None:
        schema = {"type": "object", "properties": {}, "additionalProperties": False}
    if fault := faults_by(_exclusive(schema), document):
        yield Finding("accepted", f"{answer.status} for a body that the document refuses: {fault}")


def _exclusive(schema: Any) -> Any:
    """One of several bodies: that a batch is no single event need not be said of each."""
    return {"anyOf": schema["oneOf"]} if "oneOf" in schema else schema


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _none_such(text: str) -> Any:
    raise ValueError(f"{text} is no number")
