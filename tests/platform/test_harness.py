"""The fixtures that every other test stands on."""

import threading
import urllib.error
import urllib.request

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection, connections

from tests.support.http import HttpServer


@pytest.mark.django_db
def test_rolled_back_tests_share_one_connection_for_both_aliases() -> None:
    with connections["refusals"].cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE seen (n int)")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM seen")
        assert cursor.fetchone() == (0,)


def test_real_db_is_seen_by_other_threads_and_connections(real_db: str) -> None:
    user = get_user_model()
    user.objects.create(email="ada@example.com")
    counts = []

    def count() -> None:
        counts.append(user.objects.using("refusals").count())
        connections.close_all()

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    with psycopg.connect(real_db) as other:
        assert other.execute(f"SELECT count(*) FROM {user._meta.db_table}").fetchone() == (1,)
    assert counts == [1]


def test_each_real_db_starts_empty(real_db: str) -> None:
    assert not get_user_model().objects.exists()


@pytest.mark.django_db
def test_cache_starts_empty_and_is_real() -> None:
    assert cache.get("left") is None
    cache.set("left", 1)
    assert cache.get("left") == 1


def test_http_server_answers_from_the_real_db(http_server: HttpServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{http_server.url}/no-such-page")
    assert refused.value.code == 404
