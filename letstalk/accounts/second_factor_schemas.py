"""Requests and responses about the code that a phone hears: at a sign-in, and to prove the phone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.accounts.schemas import CREATED, Opaque, Password
from letstalk.http.schemas import ApiModel, PlainText, ResponseModel, Timestamp, with_example
from letstalk.verifications.schemas import Code, Phone


class SecondFactorRequest(ApiModel):
    """The challenge from `second_factor_required`, and the code that the phone heard."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…", "code": "042917"})

    challenge: Opaque
    code: Code


class ChallengeRequest(ApiModel):
    """The challenge from `second_factor_required` or `phone_required`."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…"})

    challenge: Opaque


class OwnPhoneRequest(ChallengeRequest):
    """The challenge from `phone_required`, and the phone if that error named none."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…", "phone": "+12025550142"})

    phone: Phone | SkipJsonSchema[None] = Field(
        None, description="Ignored if a phone was entered for the account: only that one is called."
    )


class RecoveryRequest(ChallengeRequest):
    """The challenge of the sign-in, and a recovery code that was not used yet."""

    model_config = with_example({"challenge": "h0mB0yJ4k1nW…", "recovery_code": "7K3M-9QXB-0TZ4"})

    recovery_code: Annotated[PlainText, Field(min_length=1, max_length=40)]


class RecoveryCodesRequest(ApiModel):
    """The password, if the account has one."""

    model_config = with_example({"current_password": "correct horse battery staple"})

    current_password: Password = Field(default_factory=str, description="Required if the account has a password.")


class RecoveryCodesResponse(ResponseModel):
    """The only response that contains the codes. Each works once."""

    model_config = with_example({"codes": ["7K3M-9QXB-0TZ4", "Q2WE-77AB-M01N"], "created_at": CREATED})

    codes: list[str]
    created_at: Timestamp


class RecoveryCodesLeftResponse(ResponseModel):
    """How many recovery codes are unused."""

    model_config = with_example({"remaining": 9, "created_at": CREATED})

    remaining: int
    created_at: Timestamp | None = Field(description="Null if there never were any.")


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
