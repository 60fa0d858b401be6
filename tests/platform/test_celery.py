"""Tasks reach our broker from wherever they are sent, and outlive the process that runs them."""

import signal
import threading
import time
from pathlib import Path

import pytest
from celery import Celery, current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from billing_project.embedded import valkey


def test_every_thread_sends_to_our_broker() -> None:
    seen = []
    thread = threading.Thread(target=lambda: seen.append((current_app.main, current_app.conf.broker_url)))
    thread.start()
    thread.join()
    assert seen == [("billing_project", settings.CELERY_BROKER_URL)]


def test_a_task_is_not_lost_with_its_process_and_not_run_twice_while_it_runs() -> None:
    assert current_app.conf.task_acks_late
    assert current_app.conf.task_reject_on_worker_lost
    assert current_app.conf.broker_transport_options["visibility_timeout"] > current_app.conf.task_time_limit


def test_a_broker_that_is_paused_holds_nobody_for_long(tmp_path: Path) -> None:
    server = valkey.start(tmp_path / "valkey", durable=False)
    app = Celery(broker=server.url, set_as_current=False)
    app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    app.conf.task_publish_retry_policy = settings.CELERY_TASK_PUBLISH_RETRY_POLICY
    try:
        app.send_task("billing.tasks.renew_due")
        server.child.popen.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(OperationalError):
            app.send_task("billing.tasks.renew_due")
        assert time.monotonic() - began < 10
    finally:
        server.child.popen.send_signal(signal.SIGCONT)
        server.child.stop()
