"""What requests and answers of registering, and of lost passwords, look like."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from letstalk.accounts.schemas import Email, Password, Username
from letstalk.http.schemas import ApiModel, PlainText, ResponseModel, with_example

LINK = "ltl_8c1f0b…"

LinkToken = Annotated[
    PlainText,
    Field(min_length=1, max_length=1000, description="What stands behind `#token=` in the link; or the whole link."),
]


class RegistrationRequest(ApiModel):
    """A name, an e-mail address and a password, all of one's own choice."""

    model_config = with_example(
        {"username": "ada", "email": "ada@example.com", "password": "correct horse battery staple"}
    )

    username: Username
    email: Email
    password: Password


class AddressRequest(ApiModel):
    """The e-mail address of an account, as far as somebody has one."""

    model_config = with_example({"email": "ada@example.com"})

    email: Email


class LinkRequest(ApiModel):
    """A link that was mailed."""

    model_config = with_example({"token": LINK})

    token: LinkToken


class ResetRequest(ApiModel):
    """A link that was mailed, and the password to be."""

    model_config = with_example({"token": LINK, "new_password": "every cloud has its own weather"})

    token: LinkToken
    new_password: Password


class RegistrationAnswer(ResponseModel):
    """A link is on its way: the same for every address."""

    model_config = with_example({"message": "Open the link that we mail to you, then sign in."})

    message: Literal["Open the link that we mail to you, then sign in."]


class SentAnswer(ResponseModel):
    """The same for every address, whether somebody has it or not."""

    model_config = with_example({"message": "If the address has an account that needs it, we mail a link to it."})

    message: Literal["If the address has an account that needs it, we mail a link to it."]


class VerifiedAnswer(ResponseModel):
    """The address is proven, and the account can sign in."""

    model_config = with_example({"message": "Your e-mail address is verified. You can sign in."})

    message: Literal["Your e-mail address is verified. You can sign in."]


class PasswordResetAnswer(ResponseModel):
    """The new password works, and nobody is signed in."""

    model_config = with_example({"message": "Your password is changed. Sign in with the new one."})

    message: Literal["Your password is changed. Sign in with the new one."]
