import type { ErrorDetail } from "./api.js";

/** The root of what can go wrong. Decide by `instanceof`, or by `code`, which is stable. */
export declare class LetsTalkError extends Error {
  readonly code: string;
  readonly status: number | null;
  readonly requestId: string | null;
  readonly retryAfterSeconds: number | null;
  readonly attemptsRemaining: number | null;
  readonly requiredScopes: string[];
  readonly details: ErrorDetail[];
}
/** No response. The request may have been carried out, unless `wasSent` is false. */
export declare class ConnectionFailed extends LetsTalkError {
  readonly wasSent: boolean;
}
/** A response that the API does not give, such as the page of a proxy. */
export declare class UnexpectedResponse extends LetsTalkError {}
/** Nobody with the secret signed this webhook, or it is too old. Answer 400, and do nothing else. */
export declare class WebhookNotVerified extends LetsTalkError {}
/** The API refused the request. `requestId` finds it in the log of the service. */
export declare class RequestRefused extends LetsTalkError {}
/** 400: `details` names the fields. */
export declare class InvalidRequest extends RequestRefused {}
/** Ask for the number again, with its country code. */
export declare class InvalidPhone extends InvalidRequest {}
/** The person typed another code. `attemptsRemaining` says how often they may try again. */
export declare class InvalidCode extends InvalidRequest {}
/** 401: no token, or one that is mistyped, revoked or expired. */
export declare class NotAuthenticated extends RequestRefused {}
/** 403: the token may not do this. `requiredScopes` says what it lacks. */
export declare class Forbidden extends RequestRefused {}
/** This number or country is never called. Offer another way. */
export declare class DestinationBlocked extends Forbidden {}
/** 404: there is no such thing, or it belongs to another owner. */
export declare class NotFound extends RequestRefused {}
/** No code was sent to this phone in the last 24 hours. */
export declare class NoPendingVerification extends NotFound {}
/** 409 and 422: the request does not fit the current state. */
export declare class Conflict extends RequestRefused {}
/** 410: the code expired, was used or canceled, or too many wrong ones were typed. Send a new one. */
export declare class VerificationOver extends RequestRefused {}
/** 429: wait `retryAfterSeconds`. */
export declare class TooManyRequests extends RequestRefused {}
/** The service failed. Try again later. */
export declare class ServiceFailed extends RequestRefused {}
/** 503: wait `retryAfterSeconds`. */
export declare class Unavailable extends ServiceFailed {}
