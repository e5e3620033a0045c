/**
 * What can go wrong, as one tree. Test with `instanceof`, or decide by `code`, which is stable.
 * No error holds a code that was spoken or typed, or a token.
 */
export class LetsTalkError extends Error {
  constructor(message, { code, status, requestId, retryAfterSeconds, attemptsRemaining, requiredScopes, details } = {}) {
    super(message);
    this.name = new.target.name;
    this.code = code ?? "error";
    this.status = status ?? null;
    this.requestId = requestId ?? null;
    this.retryAfterSeconds = retryAfterSeconds ?? null;
    this.attemptsRemaining = attemptsRemaining ?? null;
    this.requiredScopes = requiredScopes ?? [];
    this.details = details ?? [];
  }
}

/** No response. The request may have been carried out, unless `wasSent` is false. */
export class ConnectionFailed extends LetsTalkError {
  constructor(message, { wasSent = true } = {}) {
    super(message, { code: "connection_failed" });
    this.wasSent = wasSent;
  }
}

/** A response that the API does not give, such as the page of a proxy. */
export class UnexpectedResponse extends LetsTalkError {
  constructor(message, status) {
    super(message, { code: "unexpected_response", status });
  }
}

/** Nobody with the secret signed this webhook, or it is too old. Answer 400, and do nothing else. */
export class WebhookNotVerified extends LetsTalkError {
  constructor(message) {
    super(message, { code: "webhook_not_verified" });
  }
}

/** The API refused the request. `requestId` finds it in the log of the service. */
export class RequestRefused extends LetsTalkError {}
export class InvalidRequest extends RequestRefused {}
export class InvalidPhone extends InvalidRequest {}
export class InvalidCode extends InvalidRequest {}
export class NotAuthenticated extends RequestRefused {}
export class Forbidden extends RequestRefused {}
export class DestinationBlocked extends Forbidden {}
export class NotFound extends RequestRefused {}
export class NoPendingVerification extends NotFound {}
export class Conflict extends RequestRefused {}
export class VerificationOver extends RequestRefused {}
export class TooManyRequests extends RequestRefused {}
export class ServiceFailed extends RequestRefused {}
export class Unavailable extends ServiceFailed {}

const BY_CODE = {
  invalid_phone: InvalidPhone,
  invalid_code: InvalidCode,
  destination_blocked: DestinationBlocked,
  no_pending_verification: NoPendingVerification,
};
const BY_STATUS = {
  401: NotAuthenticated,
  403: Forbidden,
  404: NotFound,
  409: Conflict,
  410: VerificationOver,
  422: Conflict,
  429: TooManyRequests,
  503: Unavailable,
};

/** The error of a response with that status (400 or above), headers and decoded JSON. */
export function readError(status, headers, content) {
  if (typeof content?.code !== "string") return unexpected(status);
  const Kind = BY_CODE[content.code] ?? BY_STATUS[status] ?? (status < 500 ? InvalidRequest : ServiceFailed);
  const retryAfter = headers.get("retry-after") ?? "";
  return new Kind(String(content.error ?? content.code), {
    code: content.code,
    status,
    requestId: content.request_id ?? headers.get("x-request-id"),
    retryAfterSeconds: /^\d+$/.test(retryAfter) ? Number(retryAfter) : null,
    attemptsRemaining: content.attempts_remaining,
    requiredScopes: content.required_scopes,
    details: content.details,
  });
}

export function unexpected(status) {
  return new UnexpectedResponse(`The address answered ${status}, and not as Let's Talk does. Check the URL.`, status);
}
