"""Sends commands to Telnyx through its SDK."""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from letstalk.config.settings import Settings
from letstalk.core.clock import Clock, utc_now
from letstalk.observability.logs import get_logger
from letstalk.telephony import provider as telephony
from letstalk.telephony.telnyx.accounts import read_application, read_refusal
from letstalk.telephony.telnyx.outcomes import DETECTION_EVENTS, EVENT_TYPES, error_from_response, vendor_codes
from letstalk.telephony.telnyx.voices import Voice, plain_voice_for, voice_for
from letstalk.telephony.telnyx.webhooks import CallState, ClientStates, TelnyxWebhookReader

if TYPE_CHECKING:
    import telnyx

log = get_logger(__name__)

WEBHOOK_PATH = "/api/webhooks/telnyx"

# The most that Telnyx allows: five retries within 60 s, so that a server that is down for 55 s misses no event.
_RETRIES_MS = (1_000, 4_000, 10_000, 20_000, 25_000)
UNSENDABLE_REASON = "The request to Telnyx could not be sent: check TELNYX_API_KEY and TELNYX_BASE_URL."
_NOT_IN_A_DISPLAY_NAME = re.compile(r"[^0-9A-Za-z \-_~!.+]")


class TelnyxProvider(telephony.CallProvider):
    """Uses one client with persistent connections. The client never retries: the caller decides about retries."""

    name = "telnyx"

    def __init__(
        self,
        *,
        api_key: str,
        connection_id: str,
        from_number: str,
        public_url: str,
        brand_name: str,
        state_key: bytes,
        base_url: str | None = None,
        timeout_seconds: float = 5.0,
        clock: Clock = utc_now,
    ) -> None:
        """`public_url` is where Telnyx reaches this service. `base_url` replaces the API's URL up to `/v2`."""
        self._api_key = api_key
        self._connection_id = connection_id
        self._from_number = from_number
        self._webhook_url = public_url.rstrip("/") + WEBHOOK_PATH
        self._display_name = display_name(brand_name)
        self._states = ClientStates(state_key)
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._loading = threading.Lock()
        self._client: telnyx.Telnyx | None = None

    def load(self) -> None:
        self._load_client()

    def stop(self) -> None:
        # While the SDK is still loading there is no connection to close, and a stop must not wait seconds for it.
        if not self._loading.acquire(blocking=False):
            return
        client, self._client = self._client, None
        self._loading.release()
        if client is not None:
            client.close()

    def _dial(self, command: telephony.DialCommand) -> str:
        options: dict[str, Any] = {"from_display_name": self._display_name} if self._display_name else {}
        with self._connected(of_dial=True) as client:
            response = client.calls.dial(
                connection_id=self._connection_id,
                from_=self._from_number,
                to=command.phone,
                client_state=self._states.write(CallState(command.call_id, command_seq=0)),
                command_id=command.command_id,
                timeout_secs=command.ring_seconds,
                time_limit_secs=command.call_limit_seconds,
                webhook_url=self._webhook_url,
                webhook_url_method="POST",
                webhook_retries_policies={
                    event_type: {"retries_ms": _RETRIES_MS} for event_type in (*EVENT_TYPES, *sorted(DETECTION_EVENTS))
                },
                answering_machine_detection="premium" if command.detect_machine else "disabled",
                **options,
            )
            # The SDK does not validate responses, so any of these attributes may be missing.
            call_control_id = getattr(getattr(response, "data", None), "call_control_id", None)
            if not isinstance(call_control_id, str) or not call_control_id:
                raise telephony.OutcomeUnknown("Telnyx accepted the dial, but its response did not name the call.")
            return call_control_id

    def _speak(self, command: telephony.SpeakCommand) -> None:
        voice = voice_for(command.speech.language)
        try:
            self._speak_with(voice, command, command.command_id)
        except telephony.CallRefused as error:
            plain = plain_voice_for(voice)
            if not _is_unprocessable(error.__cause__) or plain is None:
                raise
            # Not every account may use every voice. The refused command did nothing, so this is a new one.
            log.warning("telnyx_voice_refused", voice=voice.name, reason=error.reason)
            self._speak_with(plain, command, f"{command.command_id}-plain")

    def _speak_with(self, voice: Voice, command: telephony.SpeakCommand, command_id: str) -> None:
        options: dict[str, Any] = {"language": voice.language} if voice.language else {}
        with self._connected() as client:
            client.calls.actions.gather_using_speak(
                command.provider_call_id,
                payload=voice.payload_of(command.speech),
                voice=voice.name,
                payload_type="ssml",
                valid_digits=command.valid_digits,
                minimum_digits=1,
                maximum_digits=1,
                timeout_millis=command.listen_seconds * 1000,
                maximum_tries=1,
                client_state=self._states.write(CallState(command.call_id, command.command_seq)),
                command_id=command_id,
                **options,
            )

    def _hang_up(self, command: telephony.HangUpCommand) -> None:
        # No client_state is sent, so that the events keep that of the previous command.
        with self._connected() as client:
            client.calls.actions.hangup(command.provider_call_id, command_id=command.command_id)

    def _is_alive(self, provider_call_id: str) -> bool:
        try:
            with self._connected() as client:
                response = client.calls.retrieve_status(provider_call_id)
                alive = getattr(getattr(response, "data", None), "is_alive", None)
                if not isinstance(alive, bool):
                    raise telephony.OutcomeUnknown("Telnyx did not say whether the call is still active.")
                return alive
        except telephony.CallGone:
            return False

    def _check_account(self) -> telephony.AccountReport:
        """The details of the connection: a key that is refused cannot read them, and one that is right can."""
        with self._connected() as client:
            import telnyx

            try:
                response = client.call_control_applications.with_raw_response.retrieve(self._connection_id)
            except telnyx.APIStatusError as error:
                report = read_refusal(error.status_code, error.response.headers.get("date"))
                if report is None:
                    raise
                return report
            return read_application(getattr(response.parse(), "data", None), response.headers.get("date"))

    def _load_client(self) -> telnyx.Telnyx:
        client = self._client
        if client is not None:
            return client
        with self._loading:
            if self._client is None:
                import telnyx

                # Below WARNING these log whole requests, which contain the code.
                for name in ("telnyx", "httpx", "httpcore"):
                    logging.getLogger(name).setLevel(logging.WARNING)
                client = telnyx.Telnyx(
                    api_key=self._api_key,
                    # Without these, the SDK would read them from the environment, which only the settings may read.
                    client_id="",
                    client_secret="",
                    public_key="",
                    base_url=self._base_url,
                    timeout=self._timeout_seconds,
                    max_retries=0,
                )
                # The SDK imports half of its modules on the first access to this. A call must not wait for that.
                _ = client.calls.actions
                self._client = client
            return self._client

    @contextmanager
    def _connected(self, *, of_dial: bool = False) -> Iterator[telnyx.Telnyx]:
        """The client. Errors of the SDK in the block are raised as a ProviderError."""
        client = self._load_client()
        import httpx
        import telnyx

        try:
            yield client
        except telephony.ProviderError:
            raise
        except telnyx.APIStatusError as error:
            log.warning("telnyx_refused", status=error.status_code, vendor_codes=sorted(vendor_codes(error.body)))
            retry_after, now = error.response.headers.get("retry-after"), self._clock()
            raise error_from_response(
                error.status_code, error.body, of_dial=of_dial, retry_after=retry_after, now=now
            ) from error
        except telnyx.APIConnectionError as error:
            # Without a connection nothing was sent. In every other case the command may have been executed.
            if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
                raise telephony.ProviderBusy("Telnyx cannot be reached.") from error
            if isinstance(error.__cause__, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
                raise telephony.CallRefused(UNSENDABLE_REASON) from error
            raise telephony.OutcomeUnknown("Telnyx did not respond in time, or its response was lost.") from error
        except (UnicodeEncodeError, httpx.InvalidURL) as error:
            raise telephony.CallRefused(UNSENDABLE_REASON) from error
        except (telnyx.TelnyxError, ValueError, RecursionError) as error:
            raise telephony.OutcomeUnknown("Telnyx sent a response that cannot be read.") from error


def _is_unprocessable(error: BaseException | None) -> bool:
    import telnyx

    return isinstance(error, telnyx.UnprocessableEntityError)


def display_name(brand_name: str) -> str:
    """`brand_name` in the characters that Telnyx accepts: unaccented letters, digits, spaces, `-_~!.+`; at most 128."""
    plain = unicodedata.normalize("NFKD", brand_name)
    return _NOT_IN_A_DISPLAY_NAME.sub("", plain).strip()[:128]


def build_telnyx(settings: Settings, parts: telephony.Parts) -> telephony.Telephony:
    """Raises ValueError for a setting that Telnyx requires and that is not set."""
    api_key = None if settings.telnyx_api_key is None else settings.telnyx_api_key.get_secret_value()
    provider = TelnyxProvider(
        api_key=_required(api_key, "TELNYX_API_KEY"),
        connection_id=_required(settings.telnyx_connection_id, "TELNYX_CONNECTION_ID"),
        from_number=_required(settings.telnyx_from_number, "TELNYX_FROM_NUMBER"),
        public_url=_required(settings.public_url, "PUBLIC_URL"),
        brand_name=settings.brand_name,
        state_key=parts.state_key,
        base_url=settings.telnyx_base_url,
        clock=parts.clock,
    )
    public_key = _required(settings.telnyx_public_key, "TELNYX_PUBLIC_KEY")
    return telephony.Telephony(provider, TelnyxWebhookReader(public_key=public_key, state_key=parts.state_key))


def _required(value: str | None, name: str) -> str:
    if not value:
        raise ValueError(f"the provider telnyx requires {name}")
    return value
