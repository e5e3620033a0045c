"""Requests and responses of single sign-on."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from letstalk.http.schemas import ApiModel, PlainText, Query, ResponseModel, with_example
from letstalk.sso.service import SingleSignOnOptions


class JwtRequest(ApiModel):
    """A JWT that an issuer of JWT_ISSUERS has signed for this service."""

    model_config = with_example({"token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOi…"})

    token: PlainText = Field(min_length=1, max_length=16_384)


class StartQuery(Query):
    next: PlainText | SkipJsonSchema[None] = Field(
        None, max_length=2000, description="The path on this server to go to afterwards. Default: the dashboard."
    )


class CallbackQuery(Query):
    """What the provider adds to the address. Other parameters are ignored."""

    model_config = ConfigDict(extra="ignore")

    state: str | SkipJsonSchema[None] = None
    code: str | SkipJsonSchema[None] = None
    iss: str | SkipJsonSchema[None] = Field(None, description="See RFC 9207.")
    error: str | SkipJsonSchema[None] = None


class SingleSignOnResponse(ResponseModel):
    """Whether single sign-on is set up, and where it starts."""

    model_config = with_example(
        {"configured": True, "name": "Acme", "start_url": "https://calls.example.com/api/auth/sso/start"}
    )

    configured: bool
    name: str | None = Field(description="The name for the button. Null if nothing is configured.")
    start_url: str | None = Field(description="Where to send the browser; it takes `next`.")

    @classmethod
    def of(cls, options: SingleSignOnOptions | None) -> SingleSignOnResponse:
        if options is None:
            return cls(configured=False, name=None, start_url=None)
        return cls(configured=True, name=options.name, start_url=options.start_url)
