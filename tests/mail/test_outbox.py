"""Mails are sent once, retried while the server is down, and given up after a permanent error or too late."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from letstalk.core.secret_files import make_encryption_key
from letstalk.db.crypto import Vault
from letstalk.mail.models import DAY_SECONDS, Mail
from letstalk.mail.repository import mails as table
from letstalk.mail.transports import MailDelayed, MailRefused
from tests.support.mail_parts import Post
from tests.support.world import World, refusal_of

MAIL = Mail("ada@example.org", "About the weather", "It is a secret: ltl_0123456789abcdef")


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def write(post: Post, mail: Mail = MAIL) -> str:
    with post.db.write() as connection:
        mail_id = post.mails.send_mail(connection, mail)
    assert mail_id is not None
    return mail_id


def test_a_mail_is_sent_once_and_what_it_said_is_erased(post: Post) -> None:
    write(post)
    assert post.taken == []
    for _ in range(3):
        post.sweep()
        post.clock.move(3600)
    assert post.taken == [MAIL]
    [row] = post.rows()
    assert (row.sealed, row.attempts, row.failed_at) == (None, 1, None)
    assert row.sent_at is not None


def test_a_mail_is_not_sent_when_what_it_is_about_did_not_happen(post: Post) -> None:
    def fail() -> None:
        with post.db.write() as connection:
            post.mails.send_mail(connection, MAIL)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    post.sweep()
    assert post.taken == []
    assert post.rows() == []


def test_nothing_of_a_waiting_mail_can_be_read_in_the_database(post: Post) -> None:
    write(post)
    written = post.everything_written()
    assert not [word for word in ("ada@", "example", "weather", "secret", "ltl_") if word in written]


def test_a_server_that_comes_back_gets_each_mail_once_and_as_the_same_mail(post: Post) -> None:
    assert post.postman is not None
    post.postman.troubles = [MailDelayed("away")] * 5
    mail_id = write(post)
    for _ in range(200):
        post.pass_time(10)
    assert post.taken == [MAIL]
    assert post.postman.ids == [mail_id] * 6
    assert post.rows()[0].attempts == 6


def test_while_the_server_is_away_it_is_asked_less_and_less_often(post: Post) -> None:
    assert post.postman is not None
    post.postman.troubles = [MailDelayed("away")] * 1000
    write(post)
    asked = []
    for _ in range(360):
        before = len(post.postman.ids)
        post.pass_time(10)
        asked.append(len(post.postman.ids) - before)
    assert max(asked) == 1
    assert 5 <= sum(asked[:60]) <= 8
    assert 4 <= sum(asked[-300:]) <= 12


def test_a_refused_recipient_is_given_up_at_once(post: Post) -> None:
    assert post.postman is not None
    post.postman.troubles = [MailRefused("recipient 550")]
    write(post)
    for _ in range(10):
        post.pass_time(3600)
    assert post.taken == []
    assert len(post.postman.ids) == 1
    [row] = post.rows()
    assert row.failed_at is not None
    assert row.sealed is row.sent_at is None


def test_after_a_day_a_mail_is_given_up(post: Post) -> None:
    assert post.postman is not None
    post.postman.troubles = [MailDelayed("away")] * 1000
    write(post)
    for _ in range(25 * 6):
        post.pass_time(600)
    [row] = post.rows()
    assert row.failed_at is not None
    assert row.sealed is None
    assert (row.failed_at - row.created_at).total_seconds() <= DAY_SECONDS
    assert (row.failed_at - row.created_at).total_seconds() >= DAY_SECONDS - 1200
    post.postman.troubles = []
    post.pass_time(60)
    assert post.taken == []


def test_a_mail_that_nobody_came_to_send_in_time_is_not_sent_too_late(post: Post) -> None:
    write(post, Mail(MAIL.to, MAIL.subject, MAIL.body, ttl_seconds=1800))
    post.pass_time(1801)
    assert post.taken == []
    assert post.rows()[0].failed_at is not None


def test_of_many_workers_one_sends_it(post: Post) -> None:
    mail_id = write(post)
    others = [Post(post.world, post.postman) for _ in range(6)]
    barrier = threading.Barrier(len(others))

    def deliver(other: Post) -> None:
        barrier.wait(30)
        other.mails.deliver(mail_id)

    threads = [threading.Thread(target=deliver, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert post.taken == [MAIL]


def test_mails_take_no_more_of_a_process_than_two_threads(post: Post) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Slow:
        def can_reach(self, _email: str, /) -> bool:
            return True

        def check(self) -> str:
            return "It is slow."

        def send(self, _mail: Mail, _mail_id: str, /) -> None:
            begun.release()
            go_on.wait(30)

    slow = Post(post.world, transport=Slow())
    ids = [write(slow) for _ in range(4)]
    threads = [threading.Thread(target=slow.mails.deliver, args=(mail_id,)) for mail_id in ids[:2]]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=30)
    for mail_id in ids[2:]:
        slow.mails.deliver(mail_id)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert [row.attempts for row in slow.rows()].count(1) == 2
    slow.sweep()
    assert [row.sent_at is None for row in slow.rows()] == [False] * 4


def test_a_mail_whose_sender_died_is_sent_by_another_one_later(post: Post) -> None:
    assert post.postman is not None
    post.postman.troubles = [KeyboardInterrupt()]  # type: ignore[list-item]  # a death is no Exception
    mail_id = write(post)
    with pytest.raises(KeyboardInterrupt):
        post.mails.deliver(mail_id)
    post.pass_time(60)
    assert post.taken == []
    post.pass_time(61)
    assert post.taken == [MAIL]


def test_a_mail_under_a_lost_key_waits_for_the_key(post: Post) -> None:
    sealed_elsewhere = Vault((make_encryption_key(),)).encrypt(b"{}")
    write(post)
    with post.db.write() as connection:
        kept = post.rows()[0].sealed
        connection.execute(update(table).values(sealed=sealed_elsewhere))
    post.sweep()
    assert post.taken == []
    with post.db.write() as connection:
        connection.execute(update(table).values(sealed=kept))
    post.pass_time(30)
    assert post.taken == [MAIL]


def test_without_a_mail_server_nothing_is_written_and_whoever_asks_is_told(world: World) -> None:
    post = Post(world, postman=None)
    with post.db.write() as connection:
        assert post.mails.send_mail(connection, MAIL) is None
        refusal_of(lambda: post.mails.defer_email(connection, "reset", {}), "mail_not_set_up")
    post.mails.wake(None)
    post.sweep()
    assert post.rows() == []


def test_a_deferred_email_that_becomes_no_mail_is_deleted(post: Post) -> None:
    post.mails.register_writer("nothing", lambda _connection, _email: None)
    with post.db.write() as connection:
        post.mails.defer_email(connection, "nothing", {"email": "ada@example.org"})
    post.sweep()
    assert post.taken == []
    assert post.rows() == []


def test_a_deferred_email_is_written_once_however_often_it_is_tried(post: Post) -> None:
    assert post.postman is not None
    calls: list[str] = []

    def writer(_connection: object, email: object) -> Mail:
        calls.append(str(email))
        return MAIL

    post.mails.register_writer("something", writer)
    post.postman.troubles = [MailDelayed("away")] * 3
    with post.db.write() as connection:
        post.mails.defer_email(connection, "something", {"email": "ada@example.org"})
    for _ in range(60):
        post.pass_time(10)
    assert post.taken == [MAIL]
    assert calls == ["{'email': 'ada@example.org'}"]


def test_a_deferred_email_that_fails_is_tried_again(post: Post) -> None:
    outcomes: list[Exception] = [RuntimeError("the database went away")]

    def writer(_connection: object, _email: object) -> Mail:
        if outcomes:
            raise outcomes.pop()
        return MAIL

    post.mails.register_writer("something", writer)
    with post.db.write() as connection:
        post.mails.defer_email(connection, "something", {})
    with pytest.raises(RuntimeError):
        post.sweep()
    post.woken.clear()
    post.pass_time(30)
    assert post.taken == [MAIL]
