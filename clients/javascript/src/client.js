import { randomUUID } from "node:crypto";

import { ConnectionFailed, LetsTalkError, TooManyRequests, Unavailable, readError, unexpected } from "./errors.js";

export const VERSION = "1.0.0";

const FIRST_WAIT_SECONDS = 0.5;
const AFTER_ANY_TRY = new Set([500, 502, 504]);
// Failures of a connection that was not made: nothing was sent.
const NOTHING_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"]);

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class LetsTalk {
  #url;
  #token;
  #timeoutSeconds;
  #maxRetries;
  #longestWaitSeconds;
  #fetch;
  #sleep;

  constructor({ url, token, timeoutSeconds = 10, maxRetries = 2, longestWaitSeconds = 10, fetch, sleep = pause } = {}) {
    if (!isAddress(url)) {
      throw new TypeError("Let's Talk needs `url`, its address, such as https://calls.example.com. Is LETSTALK_URL set?");
    }
    if (typeof token !== "string" || !/^[!-~]+$/.test(token)) {
      throw new TypeError("Let's Talk needs `token`, an API token without spaces. Is LETSTALK_TOKEN set?");
    }
    this.#url = url.replace(/\/+$/, "");
    this.#token = token;
    this.#timeoutSeconds = timeoutSeconds;
    this.#maxRetries = maxRetries;
    this.#longestWaitSeconds = longestWaitSeconds;
    this.#fetch = fetch ?? globalThis.fetch;
    this.#sleep = sleep;
  }

  send(params, options) {
    return this.#placeCall("/calls/otp", params, options);
  }

  replay(params, options) {
    return this.#placeCall("/calls/replay", params, options);
  }

  // Not repeatable: a code is accepted once, and each wrong one uses an attempt.
  verify(params) {
    return this.#run({ method: "POST", path: "/calls/verify", body: params });
  }

  get(verificationId) {
    return this.#read(`/calls/${part(verificationId)}`);
  }

  getSpokenCall(callId) {
    return this.#read(`/calls/${part(callId)}`);
  }

  list(params) {
    return this.#read("/calls", params);
  }

  async *iterate(params = {}) {
    let page = await this.list(params);
    yield* page.verifications;
    while (page.next_cursor !== null) {
      page = await this.list({ ...params, cursor: page.next_cursor });
      yield* page.verifications;
    }
  }

  cancel(verificationId) {
    return this.#run({ method: "POST", path: `/calls/${part(verificationId)}/cancel` });
  }

  speak(params, options) {
    return this.#placeCall("/calls/speak", params, options);
  }

  reportOutcome(callId, params) {
    return this.#run({ method: "POST", path: `/calls/${part(callId)}/outcome`, body: params });
  }

  listEvents(params) {
    return this.#read("/api/events", params);
  }

  getEvent(eventId) {
    return this.#read(`/api/events/${part(eventId)}`);
  }

  listLanguages() {
    return this.#read("/api/languages");
  }

  // All tries have one key, so that only one call is placed.
  #placeCall(path, body, { idempotencyKey = randomUUID() } = {}) {
    if (typeof idempotencyKey !== "string" || !/^[ -~]{1,255}$/.test(idempotencyKey)) {
      throw new TypeError("An idempotency key is 1 to 255 printable ASCII characters.");
    }
    return this.#run({ method: "POST", path, body, idempotencyKey, isRepeatable: true });
  }

  #read(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    const search = new URLSearchParams(given).toString();
    return this.#run({ method: "GET", path: search ? `${path}?${search}` : path, isRepeatable: true });
  }

  async #run(request) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#try(request);
      } catch (error) {
        const waitSeconds = this.#waitBeforeNext(request, error, tries);
        if (waitSeconds === null) throw error;
        await this.#sleep(waitSeconds);
      }
    }
  }

  async #try({ method, path, body, idempotencyKey }) {
    const headers = {
      Authorization: `Bearer ${this.#token}`,
      Accept: "application/json",
      "User-Agent": `letstalk-client-javascript/${VERSION}`,
    };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (idempotencyKey !== undefined) headers["Idempotency-Key"] = idempotencyKey;
    const content = JSON.stringify(body);
    let response, text;
    try {
      const signal = AbortSignal.timeout(this.#timeoutSeconds * 1000);
      const send = this.#fetch;
      response = await send(this.#url + path, { method, headers, body: content, redirect: "manual", signal });
      text = await response.text();
    } catch (error) {
      throw failureOf(error);
    }
    const said = parse(text);
    if (response.status >= 400) throw readError(response.status, response.headers, said);
    if (response.status >= 300 || said === undefined) throw unexpected(response.status);
    return said;
  }

  /** Seconds to wait after `tries` tries, the last of which ended in `error`; null to give up. */
  #waitBeforeNext(request, error, tries) {
    if (!(error instanceof LetsTalkError) || tries > this.#maxRetries || !mayHelp(request, error)) return null;
    const asked = error.retryAfterSeconds;
    if (asked === null) {
      // Half is fixed, half by chance: many clients must not come back at the same moment.
      const backoff = Math.min(FIRST_WAIT_SECONDS * 2 ** (tries - 1), this.#longestWaitSeconds);
      return backoff * (0.5 + Math.random() / 2);
    }
    if (asked > this.#longestWaitSeconds) return null;
    return asked + Math.random() * Math.max(asked * 0.1, 0.1); // never sooner than asked
  }
}

function isAddress(url) {
  try {
    const { protocol, username, search, hash } = new URL(url);
    return ["http:", "https:"].includes(protocol) && !username && !search && !hash;
  } catch {
    return false;
  }
}

function mayHelp(request, error) {
  if (error instanceof TooManyRequests || error instanceof Unavailable) return true;
  if (error instanceof ConnectionFailed) return request.isRepeatable === true || !error.wasSent;
  return request.isRepeatable === true && AFTER_ANY_TRY.has(error.status);
}

function failureOf(error) {
  const name = error?.cause?.code ?? error?.name ?? "error";
  return new ConnectionFailed(`No response from the service: ${name}`, { wasSent: !NOTHING_SENT.has(name) });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `text` as one part of a path. An empty one would name another call. */
function part(text) {
  if (typeof text !== "string" || ["", ".", ".."].includes(text)) throw new TypeError("The id is empty.");
  return encodeURIComponent(text);
}
