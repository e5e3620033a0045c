"""What a request may contain, and how it is read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from letstalk.verifications.schemas import VerifyRequest


@pytest.mark.parametrize(
    "typed",
    [
        "048213",
        "048 213",
        " 048213 ",
        "048-213",
        "0 4 8 2 1 3",
        "048\u00a0213",
        "048\u2011213",
        "\u202a048213\u202c",
        "\uff10\uff14\uff18\uff12\uff11\uff13",
        "٠٤٨٢١٣",
        "०४८२१३",
    ],
)
def test_a_code_is_read_as_people_type_and_paste_it(typed: str) -> None:
    assert VerifyRequest(phone="+12025550142", code=typed).code == "048213"


@pytest.mark.parametrize(
    "typed",
    ["", " ", "---", "048", "04821304821", "O48213", "048.213", "0x1f4", "+048213", "²³⁴⁵⁶", "Ⅷ213", "1" + " " * 40],
)
def test_what_is_no_code_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        VerifyRequest(phone="+12025550142", code=typed)


@pytest.mark.parametrize("number", [48213, 48213.0, True, None, ["048213"]])
def test_a_code_is_text_because_a_number_loses_its_zeros(number: object) -> None:
    with pytest.raises(ValidationError):
        VerifyRequest.model_validate({"phone": "+12025550142", "code": number})
