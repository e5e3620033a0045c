import { createHmac, timingSafeEqual } from "node:crypto";

import { WebhookNotVerified } from "./errors.js";

const TOLERANCE_SECONDS = 300;
const LEAST_SECRET_BYTES = 16;

/** The event of a webhook, once its signature and its timestamp are right. */
export function verifyWebhook({ body, headers, secret, toleranceSeconds = TOLERANCE_SECONDS, now = Date.now() / 1000 }) {
  const keys = [secret].flat().map(keyOf);
  const raw = typeof body === "string" ? Buffer.from(body, "utf8") : Buffer.from(body);
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    headerOf(headers, name),
  );
  if (!id || !/^\d+$/.test(timestamp)) {
    throw new WebhookNotVerified("The headers webhook-id and webhook-timestamp are missing or wrong.");
  }
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), raw]);
  const given = signatures.split(/\s+/).filter((each) => each.startsWith("v1,")).map((each) => Buffer.from(each.slice(3)));
  // Each is compared with each: how long it takes must not tell which one fits.
  let matches = 0;
  for (const key of keys) {
    const expected = Buffer.from(createHmac("sha256", key).update(signed).digest("base64"));
    for (const each of given) {
      if (each.length === expected.length && timingSafeEqual(each, expected)) matches += 1;
    }
  }
  if (matches === 0) throw new WebhookNotVerified("No signature of the webhook is by a secret that is known here.");
  if (Math.abs(now - Number(timestamp)) > toleranceSeconds) {
    throw new WebhookNotVerified(`The webhook was signed more than ${toleranceSeconds} seconds from now.`);
  }
  try {
    return JSON.parse(raw.toString("utf8"));
  } catch {
    throw new WebhookNotVerified("The body of the webhook is not JSON.");
  }
}

function headerOf(headers, name) {
  if (typeof headers.get === "function") return headers.get(name) ?? "";
  const found = Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1];
  return (Array.isArray(found) ? found[0] : found) ?? "";
}

function keyOf(secret) {
  const text = typeof secret === "string" ? secret.trim().replace(/^v1,/, "").replace(/^whsec_/, "") : "";
  const key = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, "base64") : Buffer.alloc(0);
  if (key.length < LEAST_SECRET_BYTES) {
    throw new TypeError("A webhook secret is like whsec_… in the response that made the endpoint.");
  }
  return key;
}
