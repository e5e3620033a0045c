from __future__ import annotations

import re
from typing import get_args, get_type_hints
from xml.etree import ElementTree as ET

import pytest
from telnyx.types.calls.action_gather_using_speak_params import ActionGatherUsingSpeakParams

from letstalk.telephony.provider import CallRefused
from letstalk.telephony.speech.languages import LANGUAGES
from letstalk.telephony.speech.scripts import MAX_SSML_LENGTH, Speech, render_code
from letstalk.telephony.telnyx.voices import VOICES, voice_for

TELNYX_LANGUAGES = get_args(get_type_hints(ActionGatherUsingSpeakParams)["language"])
TELNYX_MAX_PAYLOAD_LENGTH = 3000


def test_every_language_has_a_voice_and_every_voice_a_language() -> None:
    assert VOICES.keys() == {language.tag for language in LANGUAGES}


def test_a_voice_is_named_as_telnyx_names_it() -> None:
    for tag, voice in VOICES.items():
        vendor, _, name = voice.name.partition(".")
        if vendor == "AWS":
            assert re.fullmatch(r"Polly\.[A-Z][a-z]+-Neural", name), tag
        else:
            assert vendor == "Azure"
            assert re.fullmatch(rf"{tag}-[A-Z][A-Za-z]+Neural", name), tag
            assert f'xml:lang="{tag}"><voice name="{name}">' in voice.opening


def test_only_a_language_that_telnyx_does_not_list_has_no_code() -> None:
    names = {"ar": "arb", "zh": "cmn"}
    listed = {code.partition("-")[0] for code in TELNYX_LANGUAGES}
    has_code = {tag for tag in VOICES if names.get(tag[:2], tag.partition("-")[0]) in listed}

    assert {voice.language for voice in VOICES.values()} - {None} <= set(TELNYX_LANGUAGES)
    # Telnyx's Chinese is Mandarin of China.
    assert {tag for tag, voice in VOICES.items() if voice.language} == has_code - {"zh-HK", "zh-TW"}


def test_a_payload_is_the_speech_within_the_tags_of_its_voice_and_the_longest_fits() -> None:
    for tag, voice in VOICES.items():
        speech = render_code("042915", brand="Acme", locale=tag, region=None)
        payload = voice_for(tag).payload_of(speech)

        root = ET.fromstring(payload)  # noqa: S314 - our own output
        assert root.tag.rpartition("}")[2] == "speak"
        assert speech.ssml in payload
        longest = Speech(ssml="a" * MAX_SSML_LENGTH, language="en-US", text="")
        assert len(voice.payload_of(longest)) <= TELNYX_MAX_PAYLOAD_LENGTH


def test_hindi_digits_are_read_in_hindi_and_azure_is_given_its_voice() -> None:
    assert VOICES["hi-IN"].opening == '<speak><lang xml:lang="hi-IN">'
    assert '<voice name="sw-KE-ZuriNeural">' in VOICES["sw-KE"].opening


def test_a_language_without_a_voice_is_refused() -> None:
    with pytest.raises(CallRefused, match="sl-SI"):
        voice_for("sl-SI")
