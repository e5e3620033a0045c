"""Requests and responses about the code that a phone hears: at a sign-in, and to prove the phone."""

from __future__ import annotations

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.accounts.schemas import Opaque, Password
from letstalk.http.schemas import ApiModel, ResponseModel, with_example
from letstalk.verifications.schemas import Code, Phone


class SecondFactorRequest(ApiModel):
    """The challenge from `second_factor_required`, and the code that the phone heard."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…", "code": "042917"})

    challenge: Opaque
    code: Code


class ChallengeRequest(ApiModel):
    """The challenge from `phone_required`."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…"})

    challenge: Opaque


class PhoneRequest(ApiModel):
    """The phone to prove. Without `phone`, the one that waits: `pending_phone`."""

    model_config = with_example({"phone": "+12025550142", "current_password": "correct horse battery staple"})

    phone: Phone | SkipJsonSchema[None] = None
    current_password: Password = Field(default_factory=str, description="Required if the account has a password.")


class PhoneCodeRequest(ApiModel):
    """The code that the phone heard."""

    model_config = with_example({"code": "042917", "second_factor": True})

    code: Code
    second_factor: bool | SkipJsonSchema[None] = Field(
        None, description="Whether signing in requires a code by phone from now on. By default it stays as it is."
    )


class PhoneCalled(ResponseModel):
    """The phone, masked, is being called. Its code is valid for `expires_in` seconds."""

    model_config = with_example({"phone": "+1202…42", "expires_in": 600})

    phone: str
    expires_in: int
