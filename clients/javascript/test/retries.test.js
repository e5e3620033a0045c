// When the client tries again, after how long, and that all tries are one call: against a real HTTP server.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { inspect } from "node:util";

import { ConnectionFailed, LetsTalk, LetsTalkError, TooManyRequests, Unavailable } from "letstalk-client";

const SENT = { verification_id: "0b9f8e0e-3c83-4a0e-8d5c-1f6a2b7c9d10", status: "pending" };
const ACCEPTED = { status: 202, body: SENT };
const LOST = null; // the connection ends without a response

let server, url, replies, requests, waits;

function refusal(status, code, retryAfter) {
  const body = { error: "A sentence.", code, request_id: "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11" };
  return { status, body, headers: retryAfter === undefined ? {} : { "retry-after": String(retryAfter) } };
}

function client(options = {}) {
  return new LetsTalk({ url, token: "lt_secret", sleep: async (seconds) => waits.push(seconds), ...options });
}

const keys = () => requests.map((request) => request.headers["idempotency-key"]);

before(async () => {
  server = createServer((request, response) => {
    requests.push(request);
    request.resume().on("end", () => {
      const reply = replies.shift();
      if (reply === LOST) return request.socket.destroy();
      response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
      response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());
beforeEach(() => {
  [replies, requests, waits] = [[], [], []];
});

test("a lost response is asked for again with the same key", async () => {
  replies = [LOST, refusal(502, "internal_error"), ACCEPTED, ACCEPTED];
  assert.deepEqual(await client().send({ phone: "+12025550142" }), SENT);
  assert.equal(requests.length, 3);
  assert.equal(new Set(keys()).size, 1);
  assert.ok(waits[0] >= 0.25 && waits[0] <= 0.5 && waits[1] >= 0.5 && waits[1] <= 1);
  await client().send({ phone: "+12025550142" });
  assert.notEqual(keys()[3], keys()[0], "another send is another call");
});

test("a key of the app is used", async () => {
  replies = [LOST, ACCEPTED];
  await client().send({ phone: "+12025550142" }, { idempotencyKey: "order-4711" });
  assert.deepEqual(keys(), ["order-4711", "order-4711"]);
});

test("Retry-After is waited for, and never less", async () => {
  replies = [refusal(429, "rate_limited", 7), refusal(503, "queue_full", 3), ACCEPTED];
  await client().send({ phone: "+12025550142" });
  assert.ok(waits[0] >= 7 && waits[0] <= 7.7 && waits[1] >= 3 && waits[1] <= 3.3);
});

test("a long Retry-After is for the app to decide", async () => {
  replies = [refusal(429, "phone_limit", 480)];
  await assert.rejects(client().send({ phone: "+12025550142" }), (error) => {
    assert.ok(error instanceof TooManyRequests);
    assert.equal(error.code, "phone_limit");
    assert.equal(error.status, 429);
    assert.equal(error.retryAfterSeconds, 480);
    assert.equal(error.requestId, "6f1c9a52-7d0e-4c5b-9a37-2f6b1f0c8d11");
    return true;
  });
  assert.deepEqual(waits, []);
});

test("it gives up with the last error", async () => {
  replies = [1, 2, 3].map(() => refusal(503, "queue_full", 1));
  await assert.rejects(client().send({ phone: "+12025550142" }), Unavailable);
  assert.equal(requests.length, 3);
});

test("a check that may have been carried out is not repeated", async () => {
  for (const reply of [LOST, refusal(500, "internal_error")]) {
    replies = [reply];
    await assert.rejects(client().verify({ phone: "+12025550142", code: "048213" }), LetsTalkError);
  }
  assert.deepEqual(keys(), [undefined, undefined]);
});

test("a check is repeated where it was refused for now, and where nobody was reached", async () => {
  replies = [refusal(429, "rate_limited", 1), { status: 200, body: { verified: true } }];
  assert.equal((await client().verify({ phone: "+12025550142", code: "048213" })).verified, true);
  waits = [];
  const closed = createServer();
  await new Promise((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address();
  await new Promise((resolve) => closed.close(resolve));
  const nobody = client({ url: `http://127.0.0.1:${port}` });
  await assert.rejects(nobody.verify({ phone: "+12025550142", code: "048213" }), ConnectionFailed);
  assert.equal(waits.length, 2);
});

test("what is no service is said to be none", async () => {
  for (const reply of [{ status: 200, body: "<html>" }, { status: 302, body: "", headers: { location: url } }, { status: 404, body: "no" }]) {
    replies = [reply];
    await assert.rejects(client().list(), { code: "unexpected_response", status: reply.status });
  }
  for (const wrong of ["calls.example.com", "ftp://calls.example.com", "https://user:word@calls.example.com", "", undefined]) {
    assert.throws(() => client({ url: wrong }), /LETSTALK_URL/);
  }
  for (const wrong of ["", " ", "lt_a\nb", undefined]) assert.throws(() => client({ token: wrong }), /LETSTALK_TOKEN/);
  assert.throws(() => new LetsTalk(), TypeError);
});

test("a request that takes too long ends", async () => {
  const hanging = (_url, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const keep = setInterval(() => {}, 1000); // an unreferenced timeout alone would let Node end
  await assert.rejects(client({ timeoutSeconds: 0.02, maxRetries: 1, fetch: hanging }).list(), ConnectionFailed);
  clearInterval(keep);
  assert.equal(waits.length, 1);
});

test("what can't be sent is no failed connection, and is not tried again", async () => {
  for (const idempotencyKey of ["", "a\nb", "ключ", "k".repeat(256), null]) {
    assert.throws(() => client().send({ phone: "1" }, { idempotencyKey }), TypeError);
  }
  const circular = { phone: "1" };
  circular.session = circular;
  await assert.rejects(client().send(circular), TypeError);
  assert.deepEqual([requests, waits], [[], []]);
});

test("an empty id names no other call", async () => {
  for (const id of ["", ".", "..", undefined]) assert.throws(() => client().get(id), TypeError);
  replies = [refusal(404, "not_found")];
  await assert.rejects(client().get("../api/tokens"));
  assert.equal(requests[0].url, "/calls/..%2Fapi%2Ftokens");
});

test("a code and a token are in no text", async () => {
  const texts = [inspect(client(), { depth: 9, showHidden: true }), JSON.stringify(client()), String(client())];
  replies = [LOST, refusal(400, "invalid_code")];
  for (let index = 0; index < 2; index += 1) {
    await client().verify({ phone: "+12025550142", code: "90482134" }).catch((error) => {
      texts.push(inspect(error, { depth: 9, showHidden: true }), String(error), JSON.stringify(error));
    });
  }
  assert.equal(texts.length, 9);
  for (const text of texts) assert.doesNotMatch(String(text), /90482134|lt_secret|5550142/);
});
