from __future__ import annotations

from typing import get_args, get_type_hints
from xml.etree import ElementTree as ET

import pytest
from telnyx.types.calls.action_gather_using_speak_params import ActionGatherUsingSpeakParams

from letstalk.telephony.provider import CallRefused
from letstalk.telephony.speech.languages import LANGUAGES, Language
from letstalk.telephony.speech.scripts import MAX_SSML_LENGTH, Speech, render_code
from letstalk.telephony.telnyx.voices import VOICES, Voice, voice_for

TELNYX_LANGUAGES = get_args(get_type_hints(ActionGatherUsingSpeakParams)["language"])
TELNYX_MAX_PAYLOAD_LENGTH = 3000


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.tag)
def test_every_language_has_a_voice(language: Language) -> None:
    assert language.tag in VOICES, f"Add a line for {language.tag} to VOICES in letstalk/telephony/telnyx/voices.py."


def test_every_voice_speaks_one_of_our_languages() -> None:
    assert VOICES.keys() <= {language.tag for language in LANGUAGES}


@pytest.mark.parametrize(("tag", "voice"), VOICES.items(), ids=VOICES)
def test_a_voice_is_named_as_telnyx_names_it(tag: str, voice: Voice) -> None:
    vendor, _, name = voice.name.partition(".")

    if vendor == "AWS":
        assert name.startswith("Polly.")
        assert name.endswith("-Neural")
    else:
        assert vendor == "Azure"
        assert name.startswith(tag)


@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_a_language_code_is_one_that_the_sdk_lists(voice: Voice) -> None:
    assert voice.language is None or voice.language in TELNYX_LANGUAGES


def test_only_a_language_that_telnyx_does_not_list_has_no_code() -> None:
    without_code = {tag for tag, voice in VOICES.items() if voice.language is None}

    assert without_code == {"sw-KE"}
    assert not any(code.startswith("sw") for code in TELNYX_LANGUAGES)


@pytest.mark.parametrize("tag", VOICES)
def test_a_payload_is_the_speech_within_the_tags_of_its_voice(tag: str) -> None:
    speech = render_code("042915", brand="Acme", locale=tag, region=None)
    payload = voice_for(tag).payload_of(speech)

    root = ET.fromstring(payload)  # noqa: S314 - our own output
    assert root.tag.rpartition("}")[2] == "speak"
    assert speech.ssml in payload


@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_the_longest_speech_fits_into_a_payload(voice: Voice) -> None:
    speech = Speech(ssml="a" * MAX_SSML_LENGTH, language="en-US", text="")

    assert len(voice.payload_of(speech)) <= TELNYX_MAX_PAYLOAD_LENGTH


def test_hindi_digits_are_read_in_hindi_and_azure_is_given_its_voice() -> None:
    assert VOICES["hi-IN"].opening == '<speak><lang xml:lang="hi-IN">'
    assert '<voice name="sw-KE-ZuriNeural">' in VOICES["sw-KE"].opening


def test_a_language_without_a_voice_is_refused() -> None:
    with pytest.raises(CallRefused, match="it-IT"):
        voice_for("it-IT")
