"""Tasks reach our broker from wherever they are sent, and outlive the process that runs them."""

import threading

from celery import current_app
from django.conf import settings


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
