"""Proves phone numbers with calls, through a Let's Talk service.

from letstalk_client import Client, InvalidCode

client = Client("https://calls.example.com", token)
sent = client.send("+1 202 555 0142")
try:
    client.verify(verification_id=sent.verification_id, code=typed)
except InvalidCode as error:
    print(error.attempts_remaining)
"""

from letstalk_client import webhooks
from letstalk_client.async_client import AsyncClient
from letstalk_client.client import Client
from letstalk_client.errors import (
    Conflict,
    ConnectionFailed,
    DestinationBlocked,
    ErrorDetail,
    Forbidden,
    InvalidCode,
    InvalidPhone,
    InvalidRequest,
    LetsTalkError,
    NoPendingVerification,
    NotAuthenticated,
    NotFound,
    RequestRefused,
    ServiceFailed,
    TooManyRequests,
    Unavailable,
    UnexpectedResponse,
    VerificationOver,
    WebhookNotVerified,
)

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "DestinationBlocked",
    "ErrorDetail",
    "Forbidden",
    "InvalidCode",
    "InvalidPhone",
    "InvalidRequest",
    "LetsTalkError",
    "NoPendingVerification",
    "NotAuthenticated",
    "NotFound",
    "RequestRefused",
    "ServiceFailed",
    "TooManyRequests",
    "Unavailable",
    "UnexpectedResponse",
    "VerificationOver",
    "WebhookNotVerified",
    "webhooks",
]
