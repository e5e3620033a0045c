import { APIError } from "better-auth/api";

import { LetsTalk } from "./client.js";
import {
  DestinationBlocked,
  InvalidPhone,
  InvalidRequest,
  LetsTalkError,
  NoPendingVerification,
  TooManyRequests,
  VerificationOver,
} from "./errors.js";

// A person waits for the response: ten seconds at most for a service that hangs, and a limit is for them to wait for.
const PATIENCE = { timeoutSeconds: 5, maxRetries: 1, longestWaitSeconds: 3 };
const TRY_LATER = "We can't call you right now. Try again in a moment.";
const E164 = /^\+[1-9]\d{6,14}$/;

/** Options for Better Auth's `phoneNumber` plugin: who proves a phone gets a call. */
export function betterAuth({ mode = "verify", locale, brand, session, client, ...connection }) {
  const letstalk = client ?? new LetsTalk({ ...PATIENCE, ...connection });
  const place = { verify: sendCode, speak: speakCode }[mode];
  if (place === undefined) throw new TypeError('mode is "verify" or "speak".');

  async function sendCode({ phoneNumber }, ctx) {
    await letstalk.send({ phone: phoneNumber, locale: localeOf(ctx), session: await session?.(ctx) });
  }

  async function speakCode({ phoneNumber, code }, ctx) {
    await letstalk.speak({ phone: phoneNumber, code, locale: localeOf(ctx), brand });
  }

  function localeOf(ctx) {
    return typeof locale === "function" ? locale(ctx) : locale;
  }

  async function sendOTP(data, ctx) {
    try {
      await place(data, ctx);
    } catch (error) {
      throw refusalOf(error, ctx);
    }
  }

  // Refused or not, the response is the same: Better Auth calls this only for phones that have an account, and a
  // stranger must not learn which these are.
  async function sendPasswordResetOTP(data, ctx) {
    try {
      await place(data, ctx);
    } catch (error) {
      report(error, ctx);
    }
  }

  async function verifyOTP({ phoneNumber, code }, ctx) {
    try {
      const approval = await letstalk.verify({ phone: phoneNumber, code, session: await session?.(ctx) });
      return approval.verified === true;
    } catch (error) {
      if (error instanceof VerificationOver) throw overOf(error);
      if (error instanceof InvalidRequest || error instanceof NoPendingVerification) return false;
      throw refusalOf(error, ctx);
    }
  }

  return {
    sendOTP,
    sendPasswordResetOTP,
    // One person can't have two accounts by writing one number in two ways.
    phoneNumberValidator: (phoneNumber) => E164.test(phoneNumber),
    ...(mode === "verify" ? { verifyOTP } : {}),
  };
}

/** What Better Auth itself answers for a code that can't be right any more. */
function overOf(error) {
  if (error.code === "attempts_exceeded") {
    return new APIError("FORBIDDEN", { code: "TOO_MANY_ATTEMPTS", message: "Too many attempts" });
  }
  return new APIError("BAD_REQUEST", { code: "OTP_EXPIRED", message: "OTP expired" });
}

/** What the person's browser gets. Mistakes in the set-up are for the log only. */
function refusalOf(error, ctx) {
  if (!(error instanceof LetsTalkError)) return error;
  const body = { code: error.code.toUpperCase(), message: error.message };
  if (error instanceof TooManyRequests) {
    return new APIError("TOO_MANY_REQUESTS", body, { "retry-after": String(error.retryAfterSeconds ?? 30) });
  }
  if (error instanceof InvalidPhone) return new APIError("BAD_REQUEST", body);
  if (error instanceof DestinationBlocked) return new APIError("FORBIDDEN", body);
  report(error, ctx);
  const isPassing = error.status === null || error.status >= 500;
  return new APIError(isPassing ? "SERVICE_UNAVAILABLE" : "INTERNAL_SERVER_ERROR", { code: "CALL_FAILED", message: TRY_LATER });
}

function report(error, ctx) {
  const about = error instanceof LetsTalkError ? `(${error.status ?? "no response"} ${error.code}, request ${error.requestId})` : "";
  (ctx?.context?.logger ?? console).error(`letstalk-client: ${error.message} ${about}`.trim());
}
