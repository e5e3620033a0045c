from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letstalk.core.errors import InvalidRequest
from letstalk.telephony.speech import scripts as speech_module
from letstalk.telephony.speech.scripts import (
    MAX_MESSAGE_LENGTH,
    MAX_SSML_LENGTH,
    Speech,
    ensure_message,
    find_placeholder,
    render_code,
)

CODES = st.text("0123456789", min_size=6, max_size=10)
PLAIN = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="<>{}\ufffe\uffff")
# Weighted towards what could go wrong next to a code: digits of several scripts, separators, marks without width.
TRICKY = st.sampled_from(
    [*"0189 ,.;:-&a5٣७\uff15²Ⅷ五,،。%$()\u200f\u200d\u2066\u00a0\u0301é", " ", ". ", "&amp;", "x "]
)
PIECES = st.text(PLAIN, max_size=60) | st.lists(TRICKY, max_size=12).map("".join)
MESSAGES = (
    st.lists(PIECES, min_size=1, max_size=3)
    .map("{code}".join)
    .filter(lambda message: 1 <= len(message) <= MAX_MESSAGE_LENGTH and message.count("{code}") <= 2)
    .filter(lambda message: find_placeholder(message) is None)
)


def speak(message: str, code: str = "042915", locale: str | None = None) -> Speech:
    return render_code(code, brand="Acme", locale=locale, region=None, message=message)


def root_of(speech: Speech) -> ET.Element:
    return ET.fromstring(f"<speak>{speech.ssml}</speak>")  # noqa: S314 - our own output


def heard(speech: Speech) -> str:
    return "".join(root_of(speech).itertext())


def numbers_in(text: str) -> list[str]:
    """Every run of digits of any script, where spaces, commas and full stops do not end one."""
    return [re.sub(r"\D", "", run) for run in re.findall(r"\d(?:[\s,.]*\d)*", text)]


def refusal_of(message: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        speak(message)
    with pytest.raises(InvalidRequest):
        ensure_message(message)
    assert [detail.field for detail in caught.value.details] == ["message"]
    assert caught.value.code == "invalid_request"
    return caught.value


@given(message=MESSAGES, code=CODES)
def test_a_code_is_never_joined_with_another_number(message: str, code: str) -> None:
    pieces = message.split("{code}") if "{code}" in message else [message, ""]
    if len(pieces) == 2:
        pieces.append("")  # the code is read again at the end
    expected = numbers_in(pieces[0])
    for piece in pieces[1:]:
        expected += [code, *numbers_in(piece)]

    speech = speak(message, code)

    assert numbers_in(heard(speech)) == expected
    assert numbers_in(speech.text) == expected
    assert len(speech.ssml) <= MAX_SSML_LENGTH


@given(message=MESSAGES)
def test_the_words_of_a_message_are_spoken_as_given(message: str) -> None:
    speech = speak(message)

    for piece in message.split("{code}"):
        assert piece.strip() in heard(speech)
        assert piece.strip() in speech.text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Your Acme code is {code}. Bye!", "Your Acme code is 0 4 2 9 1 5. Bye! Again: 0 4 2 9 1 5"),
        ("{code} and again {code}", "0 4 2 9 1 5 and again 0 4 2 9 1 5"),
        ("Hello", "Hello 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("Code:", "Code:0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("{code}", "0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("Order 55", "Order 55; 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("55 {code}", "55; 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("{code} 10 minutes", "0 4 2 9 1 5; 10 minutes. Again: 0 4 2 9 1 5"),
        ("{code}{code}", "0 4 2 9 1 5; 0 4 2 9 1 5"),
        ("{code}, {code}", "0 4 2 9 1 5,; 0 4 2 9 1 5"),
        ("{code} 7 {code}", "0 4 2 9 1 5; 7; 0 4 2 9 1 5"),
        ("Step 2: {code}", "Step 2: 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("For 10 minutes: {code}", "For 10 minutes: 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("a{code}b", "a 0 4 2 9 1 5 b. Again: 0 4 2 9 1 5"),
        ("٣ {code}", "٣; 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("{code}\u200f३", "0 4 2 9 1 5; \u200f३. Again: 0 4 2 9 1 5"),
        ("5\u200f {code}", "5\u200f; 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("½ {code}", "½; 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
        ("R&D &lt; {code}", "R&D &lt; 0 4 2 9 1 5. Again: 0 4 2 9 1 5"),
    ],
)
def test_a_message_is_heard_like_this(message: str, text: str) -> None:
    speech = speak(message)

    assert speech.text == text
    assert "".join(heard(speech).split()) == "".join(text.split())


def test_a_pause_stands_before_and_after_the_code_in_a_message() -> None:
    ssml = speak("It is {code} today").ssml

    assert re.search(r'It is <break time="\d{3}ms"/>0 .*5<break time="\d{3}ms"/> today\. Again: <break', ssml)


def test_only_the_second_reading_is_added_to_a_message() -> None:
    speech = speak("It is {code}", locale="de")

    assert "Acme" not in speech.text
    assert speech.text == "It is 0 4 2 9 1 5. Nochmals: 0 4 2 9 1 5"
    assert speech.language == "de-DE"


def test_markup_in_entities_is_spoken_not_obeyed() -> None:
    speech = speak('&lt;break time="10s"/&gt; {code}')

    assert "&amp;lt;break" in speech.ssml
    assert [element.get("time") for element in root_of(speech).iter("break")].count("10s") == 0


@pytest.mark.parametrize(
    "message",
    [
        "<break/> {code}",
        '<break time="9s"/>',
        "</speak>",
        "<speak>{code}</speak>",
        "a < b",
        "a > b",
        "<![CDATA[{code}]]>",
    ],
)
def test_ssml_in_a_message_is_refused(message: str) -> None:
    assert "SSML" in refusal_of(message).message


@pytest.mark.parametrize("character", ["\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9f", "\ud800", "\ufffe"])
def test_control_characters_are_refused_and_not_repeated(character: str) -> None:
    error = refusal_of(f"Hello{character} {{code}}")

    assert "control" in error.message
    assert character not in error.message


@pytest.mark.parametrize("message", ["{code}{code}{code}", "{code} {code} and {code}", "{code}" * 50])
def test_a_third_code_is_refused(message: str) -> None:
    assert "twice" in refusal_of(message).message


@pytest.mark.parametrize(
    ("message", "placeholder"),
    [
        ("Your code is {{code}}.", "{{code}}"),
        ("Your code is {CODE}.", "{CODE}"),
        ("{Code}", "{Code}"),
        ("Your code is { code }.", "{ code }"),
        ("Your code is {otp}.", "{otp}"),
        ("{code}, again {otp}", "{otp}"),
        ("Your code is {}.", "{}"),
        ("Your code is {0}.", "{0}"),
        ("Your code is {code.", "{"),
        ("Your code is {code}}.", "{code}}"),
        ("Your code is ${code}}", "{code}}"),
        ("Your code is %token", "%token"),
        ("Your code is %s.", "%s"),
        ("Your code is %(code)s.", "%(code)s"),
        ("Your code is %code%.", "%code%"),
        ("Your code is %OTP%.", "%OTP%"),
        ("Your code is $code.", "$code"),
        ("Your code is [OTP].", "[OTP]"),
        ("Your code is ##code##.", "##code##"),
        ("Your code is :code.", ":code"),
        ("Your code is @verification_code.", "@verification_code"),
    ],
)
def test_the_placeholder_of_another_system_is_refused_and_named(message: str, placeholder: str) -> None:
    assert refusal_of(message).message.startswith(f"{placeholder} is not replaced. Write {{code}}")


@pytest.mark.parametrize(
    "message",
    [
        "Now 50% off! Your code: {code}",
        "100 % safe. {code}",
        "Der 5%ige Rabatt: {code}",
        "You pay US$ 5. {code}",
        "You pay $5. {code}",
        "Code:{code}",
        "Your PIN (code): {code}",
        "Ask @acme, #1 in pins. {code}",
        "Your token is {code}",
    ],
)
def test_what_only_resembles_a_placeholder_is_spoken(message: str) -> None:
    assert numbers_in(speak(message).text)[-1] == "042915"


def test_a_message_has_1_to_300_characters() -> None:
    refusal_of("")
    refusal_of("x" * 301)

    assert speak("x").text == "x 0 4 2 9 1 5. Again: 0 4 2 9 1 5"
    assert speak("é" * 300).text.startswith("é" * 300)


def test_the_longest_message_that_is_allowed_fits_a_payload() -> None:
    speech = speak("&" * 288 + "{code}{code}", code="0" * 10, locale="sw")

    assert len(speech.ssml) < MAX_SSML_LENGTH


def test_a_message_that_would_not_fit_the_payload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # No message of 300 characters comes near Telnyx's limit today; the rule must hold when pauses or frames grow.
    monkeypatch.setattr(speech_module, "MAX_SSML_LENGTH", 200)

    with pytest.raises(InvalidRequest) as caught:
        speak("&" * 30)

    assert [detail.field for detail in caught.value.details] == ["message"]
