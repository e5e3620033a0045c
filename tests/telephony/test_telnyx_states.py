from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.telephony.telnyx.webhooks import CallState, ClientStates

STATES = ClientStates(b"k" * 32)


@given(call_id=st.text(max_size=60), command_seq=st.integers(0, 2**31))
def test_what_is_written_is_read_again(call_id: str, command_seq: int) -> None:
    state = CallState(call_id, command_seq)

    assert STATES.read(STATES.write(state)) == state


def test_a_state_is_base64_as_telnyx_wants_it() -> None:
    base64.b64decode(STATES.write(CallState("call", 1)), validate=True)


def test_a_state_of_another_key_is_not_ours() -> None:
    assert ClientStates(b"x" * 32).read(STATES.write(CallState("call", 1))) is None


def test_a_state_whose_call_was_changed_is_not_ours() -> None:
    packed = base64.b64decode(STATES.write(CallState("call", 1)))
    forged = packed[:16] + packed[16:].replace(b"call", b"mall")

    assert STATES.read(base64.b64encode(forged).decode()) is None


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17])
def test_a_state_cut_short_is_not_ours(length: int) -> None:
    packed = base64.b64decode(STATES.write(CallState("call", 1)))[:length]

    assert STATES.read(base64.b64encode(packed).decode()) is None


@pytest.mark.parametrize("value", [None, 7, {}, [], "", "no base64!", "é", "A" * 100_000])
def test_what_is_no_state_is_none(value: object) -> None:
    assert STATES.read(value) is None


def test_an_unsigned_state_is_not_ours() -> None:
    assert STATES.read(base64.b64encode(json.dumps(["call", 1]).encode()).decode()) is None


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        ClientStates(b"short")
