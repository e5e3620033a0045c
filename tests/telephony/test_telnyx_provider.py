from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from letstalk.telephony.events import EventType, HangupCause
from letstalk.telephony.provider import (
    CallRefused,
    DialCommand,
    HangUpCommand,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    SpeakCommand,
)
from letstalk.telephony.speech.scripts import render_code
from letstalk.telephony.telnyx.provider import UNSENDABLE_REASON, TelnyxProvider, display_name
from letstalk.telephony.telnyx.voices import voice_for
from tests.support.fake_telnyx import FakeTelnyx, Phone
from tests.support.stopwatches import Within
from tests.telephony.lines import PERSON, SPEECH, STATE_KEY, Line, telnyx_line, wait_until

OPTIONS: dict[str, Any] = {
    "api_key": "KEY-of-the-fake",
    "connection_id": "1684641123236054244",
    "from_number": "+12025550123",
    "public_url": "http://127.0.0.1:9",
    "brand_name": "Let's Talk",
    "state_key": STATE_KEY,
}


def dial_of(provider: TelnyxProvider, command_id: str | None = None, *, detect: bool = True) -> str:
    return provider.dial(DialCommand("call", PERSON, command_id or str(uuid.uuid4()), detect, 25, 90))


def raised_by(command: Callable[[], object]) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        command()
    return raised.value


def test_a_dial_says_all_that_the_call_needs(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    telnyx_only_line.dial(ring_seconds=25, command_id="a-command")
    command, body = telnyx.requests[0]

    assert command == "dial"
    assert body["to"] == PERSON
    assert body["from"] == "+12025550123"
    assert body["command_id"] == "a-command"
    assert (body["timeout_secs"], body["time_limit_secs"]) == (25, 120)
    assert body["answering_machine_detection"] == "premium"
    assert body["from_display_name"] == "Lets Talk"
    assert body["webhook_url"].endswith("/api/webhooks/telnyx")
    assert "//api" not in body["webhook_url"]
    for event_type in ("call.initiated", "call.answered", "call.gather.ended", "call.hangup"):
        retries_ms = body["webhook_retries_policies"][event_type]["retries_ms"]
        assert len(retries_ms) == 5
        assert sum(retries_ms) == 60_000


def test_a_dial_without_detection_asks_for_none(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    telnyx_only_line.dial(detect=False)

    assert telnyx.requests[0][1]["answering_machine_detection"] == "disabled"


def test_a_speech_is_one_gather_with_its_payload(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    call_id, provider_call_id = telnyx_only_line.dial_and_reach()
    telnyx_only_line.speak(call_id, provider_call_id)
    command, body = telnyx.requests[-1]

    assert command == "gather_using_speak"
    assert body["payload"] == "<speak>Zero, 1, 2.</speak>"
    assert (body["voice"], body["language"]) == ("AWS.Polly.Joanna-Neural", "en-US")
    assert (body["valid_digits"], body["maximum_digits"], body["maximum_tries"]) == ("1", 1, 1)
    assert body["timeout_millis"] == 4000
    assert telnyx.state()["calls"][0]["heard"] == [body["payload"]]


@pytest.mark.parametrize("locale", ["en", "fr", "es", "pt", "de", "ar", "hi", "sw"])
def test_every_language_is_one_that_telnyx_takes(telnyx: FakeTelnyx, telnyx_only_line: Line, locale: str) -> None:
    call_id, provider_call_id = telnyx_only_line.dial_and_reach()
    speech = render_code("012345", brand="Let's <Talk> & Co", locale=locale, region=None)
    telnyx_only_line.provider.speak(SpeakCommand(call_id, provider_call_id, "command", 1, speech, "1", 4))

    assert telnyx.state()["calls"][0]["heard"] == [voice_for(speech.language).payload_of(speech)]


def test_a_language_that_telnyx_does_not_know_is_left_out(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    call_id, provider_call_id = telnyx_only_line.dial_and_reach()
    speech = replace(SPEECH, language="sw-KE")
    telnyx_only_line.provider.speak(SpeakCommand(call_id, provider_call_id, "command", 1, speech, "1", 4))

    assert "language" not in telnyx.requests[-1][1]


def test_a_voice_that_the_account_may_not_use_is_replaced_by_a_plain_one(
    telnyx: FakeTelnyx, telnyx_only_line: Line
) -> None:
    call_id, provider_call_id = telnyx_only_line.dial_and_reach()
    telnyx.fail_next("gather_using_speak", "voice")
    telnyx_only_line.speak(call_id, provider_call_id)
    (_, refused), (_, plain) = telnyx.requests[-2:]

    assert (plain["voice"], plain["language"]) == ("female", "en-US")
    assert plain["payload"] == refused["payload"]
    assert plain["command_id"] != refused["command_id"]
    assert telnyx.state()["calls"][0]["heard"] == [plain["payload"]]


def test_where_no_voice_may_be_used_the_refusal_names_the_code_of_telnyx(
    telnyx: FakeTelnyx, telnyx_only_line: Line
) -> None:
    call_id, provider_call_id = telnyx_only_line.dial_and_reach()
    telnyx.fail_next("gather_using_speak", "voice", 2)
    error = raised_by(lambda: telnyx_only_line.speak(call_id, provider_call_id))

    assert isinstance(error, CallRefused)
    assert error.reason.endswith("Telnyx's code: 90012.")
    swahili = SpeakCommand(call_id, provider_call_id, "command", 1, replace(SPEECH, language="sw-KE"), "1", 4)
    telnyx.fail_next("gather_using_speak", "voice")
    before = len(telnyx.requests)
    assert isinstance(raised_by(lambda: telnyx_only_line.provider.speak(swahili)), CallRefused)
    assert len(telnyx.requests) == before + 1  # Telnyx has no plain voice for it
    assert telnyx.state()["calls"][0]["heard"] == []


@pytest.mark.parametrize(
    "changed", [{"api_key": "KEY\n"}, {"api_key": "schlüssel"}, {"base_url": "ftp://127.0.0.1/v2"}]
)
def test_a_request_that_can_not_be_sent_is_refused_at_once(telnyx: FakeTelnyx, changed: dict[str, str]) -> None:
    provider = TelnyxProvider(**{**OPTIONS, "base_url": telnyx.base_url, **changed})
    error = raised_by(lambda: dial_of(provider))
    provider.stop()

    assert isinstance(error, CallRefused)
    assert error.reason == UNSENDABLE_REASON
    assert telnyx.requests == []


@pytest.mark.parametrize(
    ("brand", "shown"),
    [("Let's Talk", "Lets Talk"), ("Café Ñandú", "Cafe Nandu"), ("東京", ""), ("a" * 200, "a" * 128), (" <b> ", "b")],
)
def test_the_brand_is_shown_as_far_as_telnyx_allows(brand: str, shown: str) -> None:
    assert display_name(brand) == shown


def test_a_brand_that_can_not_be_shown_is_left_out(telnyx: FakeTelnyx) -> None:
    provider = TelnyxProvider(**{**OPTIONS, "brand_name": "東京", "base_url": telnyx.base_url})
    dial_of(provider)
    provider.stop()

    assert "from_display_name" not in telnyx.requests[0][1]


def test_a_full_account_is_busy(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    telnyx.configure(channels=1)
    call_id, provider_call_id = telnyx_only_line.dial()
    error = raised_by(telnyx_only_line.dial)
    assert isinstance(error, ProviderBusy)
    assert error.not_placed

    telnyx_only_line.hang_up(call_id, provider_call_id)
    telnyx_only_line.dial()
    assert telnyx.state()["max_live"] == 1


@pytest.mark.parametrize(("kind", "not_placed", "wait_seconds"), [("429", True, 1.0), ("500", False, None)])
def test_a_busy_telnyx_is_asked_once(
    telnyx: FakeTelnyx, telnyx_only_line: Line, kind: str, not_placed: bool, wait_seconds: float | None
) -> None:
    telnyx.fail_next("dial", kind)
    error = raised_by(telnyx_only_line.dial)

    assert isinstance(error, ProviderBusy)
    assert (error.not_placed, error.retry_after_seconds) == (not_placed, wait_seconds)
    assert len(telnyx.requests) == 1
    assert telnyx.calls == []


@pytest.mark.parametrize("kind", ["lost", "refused", "garbage", "empty"])
def test_an_answer_that_is_lost_or_garbled_leaves_the_outcome_open(
    telnyx: FakeTelnyx, telnyx_only_line: Line, kind: str
) -> None:
    telnyx.fail_next("dial", kind)

    assert isinstance(raised_by(telnyx_only_line.dial), OutcomeUnknown)
    assert len(telnyx.requests) == 1


def test_an_answer_that_takes_too_long_leaves_the_outcome_open(telnyx: FakeTelnyx, within: Within) -> None:
    telnyx.fail_next("dial", "slow", seconds=10.0)
    with telnyx_line(telnyx, timeout_seconds=1.0) as line:
        line.provider.load()
        with within(9):  # it does not wait for the answer
            assert isinstance(raised_by(line.dial), OutcomeUnknown)

        assert wait_until(lambda: len(telnyx.calls) == 1)


def test_a_repeat_after_a_lost_answer_finds_the_call_that_was_placed(
    telnyx: FakeTelnyx, telnyx_only_line: Line
) -> None:
    telnyx.fail_next("dial", "lost")
    raised_by(lambda: telnyx_only_line.dial(call_id="mine", command_id="a-command"))
    _, provider_call_id = telnyx_only_line.dial(call_id="mine", command_id="a-command")

    assert [call.call_control_id for call in telnyx.calls] == [provider_call_id]


def test_where_nobody_listens_nothing_was_placed() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v2"
    provider = TelnyxProvider(**OPTIONS, base_url=address)
    error = raised_by(lambda: dial_of(provider))
    provider.stop()

    assert isinstance(error, ProviderBusy)
    assert error.not_placed


def test_a_wrong_api_key_is_refused_without_being_named(telnyx: FakeTelnyx, capsys: pytest.CaptureFixture[str]) -> None:
    provider = TelnyxProvider(**{**OPTIONS, "api_key": "KEY0wrong", "base_url": telnyx.base_url})
    error = raised_by(lambda: dial_of(provider))
    provider.stop()

    assert isinstance(error, CallRefused)
    assert "TELNYX_API_KEY" in error.reason
    captured = capsys.readouterr()
    assert "KEY0wrong" not in error.reason + captured.out + captured.err


@pytest.mark.parametrize("kind", ["500", "lost", "garbage"])
def test_when_the_state_of_a_call_can_not_be_told_it_is_not_called_dead(
    telnyx: FakeTelnyx, telnyx_only_line: Line, kind: str
) -> None:
    _, provider_call_id = telnyx_only_line.dial()
    telnyx.fail_next("status", kind)

    raised_by(lambda: telnyx_only_line.provider.is_alive(provider_call_id))
    assert telnyx_only_line.provider.is_alive(provider_call_id)


def test_a_hang_up_of_unknown_outcome_may_be_repeated(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    call_id, provider_call_id = telnyx_only_line.dial_and_reach()
    telnyx.fail_next("hangup", "lost")
    command = HangUpCommand(call_id, provider_call_id, "a-command")

    assert isinstance(raised_by(lambda: telnyx_only_line.provider.hang_up(command)), OutcomeUnknown)
    assert telnyx_only_line.wait_for(call_id, EventType.HUNG_UP).cause is HangupCause.NORMAL


@pytest.mark.parametrize(
    ("phone", "kind"),
    [
        (Phone.FAX, EventType.MACHINE),
        (Phone.GREETING_ONLY, EventType.GREETING_ENDED),
        (Phone.UNSURE, EventType.UNSURE),
        (Phone.SILENT, EventType.UNSURE),
        (Phone.BUSINESS, EventType.HUMAN),
    ],
)
def test_what_detection_finds_reaches_us(
    telnyx: FakeTelnyx, telnyx_only_line: Line, phone: Phone, kind: EventType
) -> None:
    telnyx.phones["0000"] = phone
    call_id, _ = telnyx_only_line.dial()

    telnyx_only_line.wait_for(call_id, kind)


def test_the_sdk_is_not_imported_until_it_is_wanted() -> None:
    script = (
        "import sys, letstalk.telephony.registry\n"
        "from letstalk.telephony.telnyx.provider import TelnyxProvider\n"
        "provider = TelnyxProvider(api_key='k', connection_id='1', from_number='+12025550123',"
        " public_url='http://127.0.0.1', brand_name='b', state_key=b'k' * 32)\n"
        "assert not {'telnyx', 'httpx'} & set(sys.modules)\n"
        "provider.load()\n"
        "assert 'telnyx.resources.calls.actions' in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_dial_that_comes_before_the_loading_waits_for_it(telnyx: FakeTelnyx) -> None:
    provider = TelnyxProvider(**OPTIONS, base_url=telnyx.base_url)
    threads = [threading.Thread(target=provider.load) for _ in range(3)]
    for thread in threads:
        thread.start()
    provider_call_id = dial_of(provider)
    for thread in threads:
        thread.join()

    assert provider.is_alive(provider_call_id)
    provider.stop()
    provider.stop()


def test_the_sdks_own_logs_stay_closed(telnyx_only_line: Line) -> None:
    telnyx_only_line.provider.load()

    assert not logging.getLogger("telnyx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)


def test_webhooks_that_are_not_answered_come_again(telnyx: FakeTelnyx, telnyx_only_line: Line) -> None:
    telnyx.configure(repeat=3, shuffle_seconds=0.05)
    call_id, _ = telnyx_only_line.dial()
    telnyx_only_line.wait_for(call_id, EventType.HUMAN)

    assert wait_until(lambda: len(telnyx.state()["webhooks"]) == 9)
    assert len(telnyx_only_line.of(call_id)) == 3
