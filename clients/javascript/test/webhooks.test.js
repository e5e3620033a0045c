// `verifyWebhook` accepts what was signed just now by a known secret, as it was sent, and nothing else.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { WebhookNotVerified, verifyWebhook } from "letstalk-client";

const NOW = 1796119241;
const SECRET = `whsec_${Buffer.alloc(32, "first").toString("base64")}`;
const OTHER = `whsec_${Buffer.alloc(32, "other").toString("base64")}`;
const BODY = JSON.stringify({ type: "call.ended", data: { call_id: "1", reason: "größer 📞" } });

function sign(secret, { body = BODY, at = NOW, id = "evt" } = {}) {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64")}`;
}

const headers = (secrets, more = {}) => ({
  "webhook-id": "evt",
  "webhook-timestamp": String(more.at ?? NOW),
  "webhook-signature": secrets.map((secret) => sign(secret, more)).join(" "),
});
const verify = (more = {}) => verifyWebhook({ body: BODY, headers: headers([SECRET]), secret: SECRET, now: NOW, ...more });

test("a right one is read, from bytes and from any kind of headers", () => {
  assert.deepEqual(verify(), JSON.parse(BODY));
  assert.equal(verify({ body: Buffer.from(BODY) }).type, "call.ended");
  assert.equal(verify({ body: new TextEncoder().encode(BODY) }).type, "call.ended");
  assert.equal(verify({ headers: new Headers(headers([SECRET])) }).type, "call.ended");
  const upper = Object.fromEntries(Object.entries(headers([SECRET])).map(([name, value]) => [name.toUpperCase(), [value]]));
  assert.equal(verify({ headers: upper }).type, "call.ended");
});

test("while a secret rotates, either is enough, on either side", () => {
  for (const secret of [SECRET, OTHER, [OTHER, SECRET], `v1,${OTHER}`]) verify({ headers: headers([OTHER, SECRET]), secret });
  verify({ secret: [OTHER, SECRET] });
  assert.throws(() => verify({ secret: OTHER }), WebhookNotVerified);
  assert.throws(() => verify({ secret: [] }), WebhookNotVerified);
});

test("a changed body and changed headers are refused", () => {
  const right = headers([SECRET]);
  const wrong = [
    { body: BODY.replace("ended", "heard") },
    { body: `${BODY} ` },
    { headers: { ...right, "webhook-id": "another" } },
    { headers: { ...right, "webhook-timestamp": String(NOW + 1) } },
    { headers: { ...right, "webhook-signature": right["webhook-signature"].replace("v1,", "v1a,") } },
    ...Object.keys(right).flatMap((name) => ["", "x", "v1,", "1e9", "-1"].map((text) => ({ headers: { ...right, [name]: text } }))),
    { headers: {} },
  ];
  for (const each of wrong) assert.throws(() => verify(each), WebhookNotVerified, JSON.stringify(each));
});

test("only a timestamp of five minutes is accepted", () => {
  for (const seconds of [0, 300, -300]) verify({ headers: headers([SECRET], { at: NOW + seconds }) });
  for (const seconds of [301, -301]) {
    assert.throws(() => verify({ headers: headers([SECRET], { at: NOW + seconds }) }), WebhookNotVerified);
  }
});

test("what is no secret is said to be none", () => {
  for (const secret of ["", "whsec_", "whsec_AAAA", "not base64!", undefined]) assert.throws(() => verify({ secret }), TypeError);
});
