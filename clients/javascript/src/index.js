export { LetsTalk } from "./client.js";
export {
  Conflict,
  ConnectionFailed,
  DestinationBlocked,
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
} from "./errors.js";
export { verifyWebhook } from "./webhooks.js";
