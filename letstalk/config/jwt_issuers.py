"""How JWT_ISSUERS becomes a value: who may say in a signed token who someone is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from letstalk.config import values as values_of

MAX_ISSUERS = 20

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[!-~]+\z")]


class JwtIssuer(BaseModel):
    """One issuer. Which algorithms there are, and whether the key fits them, is known where tokens are checked."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    issuer: Text
    audience: Text
    algorithms: list[Text] = Field(min_length=1)
    jwks_url: Annotated[str, AfterValidator(values_of.read_provider_url)] | None = None
    public_key: str | None = None
    sign_up: Literal["off", "viewer", "developer"] = "off"

    @model_validator(mode="after")
    def _check_key(self) -> JwtIssuer:
        if (self.jwks_url is None) == (self.public_key is None):
            raise ValueError("either jwks_url or public_key")
        return self


_ISSUERS: TypeAdapter[list[JwtIssuer]] = TypeAdapter(Annotated[list[JwtIssuer], Field(max_length=MAX_ISSUERS)])


def read_jwt_issuers(text: str) -> tuple[JwtIssuer, ...]:
    """The issuers that a JSON list describes. Raises ValueError."""
    try:
        return tuple(_ISSUERS.validate_json(text))
    except ValidationError:
        raise ValueError("not a list of issuers") from None
