// Better Auth signs people in by spoken codes, in both modes, against a served application with the simulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { phoneNumber } from "better-auth/plugins";

import { LetsTalk } from "letstalk-client";
import * as letstalk from "letstalk-client/better-auth";

const { LETSTALK_URL: url, LETSTALK_TOKEN: token } = process.env;
const api = new LetsTalk({ url, token });

function appWith(options, { users = [] } = {}) {
  const logged = [];
  const auth = betterAuth({
    baseURL: "http://127.0.0.1:3000",
    secret: "a secret for tests only, nothing else, and long enough",
    database: memoryAdapter({ user: users, session: [], account: [], verification: [] }),
    rateLimit: { enabled: false },
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
    logger: { log: (level, message, ...others) => logged.push([level, message, ...others].join(" ")) },
    plugins: [
      phoneNumber({
        ...letstalk.betterAuth({ url, token, ...options }),
        signUpOnVerification: { getTempEmail: (phone) => `${phone.slice(1)}@phones.example.com` },
      }),
    ],
  });
  async function post(path, body) {
    const request = new Request(`http://127.0.0.1:3000/api/auth${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: "http://127.0.0.1:3000" },
      body: JSON.stringify(body),
    });
    const response = await auth.handler(request);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
  }
  return { post, logged };
}

/** The code that the phone heard in its newest call, whatever made it. */
async function heard(callId) {
  for (let tries = 0; tries < 1500; tries += 1) {
    const { code } = await (await fetch(`${url}/simulator/calls/${callId}`)).json();
    if (code) return code;
    await pause(20);
  }
  throw new Error("nothing was heard");
}

async function newestCall(phone) {
  const [newest] = (await api.list({ phone })).verifications;
  return (await api.get(newest.verification_id)).calls.at(-1).call_id;
}

const wrongFor = (code) => String((Number(code) + 1) % 10 ** code.length).padStart(code.length, "0");

test("verify: Let's Talk makes and checks the code", async () => {
  const { post, logged } = appWith({ mode: "verify" });
  const phone = "+12025550121";
  assert.equal((await post("/phone-number/send-otp", { phoneNumber: phone })).status, 200);
  const code = await heard(await newestCall(phone));
  const wrong = await post("/phone-number/verify", { phoneNumber: phone, code: wrongFor(code) });
  assert.deepEqual([wrong.status, wrong.body.code], [400, "INVALID_OTP"]);
  const noCode = await post("/phone-number/verify", { phoneNumber: phone, code: "abc" });
  assert.deepEqual([noCode.status, noCode.body.code], [400, "INVALID_OTP"]);
  const right = await post("/phone-number/verify", { phoneNumber: phone, code });
  assert.equal(right.status, 200);
  assert.equal(right.body.user.phoneNumber, phone);
  assert.equal(right.body.user.phoneNumberVerified, true);
  assert.ok(right.headers.get("set-cookie"));
  const again = await post("/phone-number/verify", { phoneNumber: phone, code });
  assert.deepEqual([again.status, again.body.code], [400, "OTP_EXPIRED"]);
  assert.doesNotMatch(logged.join(" "), new RegExp(code));
});

test("speak: Better Auth makes and checks the code, and a call says it", async () => {
  const calls = [];
  const client = {
    speak: async (params) => {
      const accepted = await api.speak(params);
      calls.push(accepted.call_id);
      return accepted;
    },
  };
  const { post } = appWith({ mode: "speak", client, locale: () => "de" });
  const phone = "+12025550122";
  assert.equal((await post("/phone-number/send-otp", { phoneNumber: phone })).status, 200);
  const code = await heard(calls[0]);
  assert.match(code, /^\d{6}$/);
  assert.equal((await api.getSpokenCall(calls[0])).spoken_locale, "de-DE");
  const wrong = await post("/phone-number/verify", { phoneNumber: phone, code: wrongFor(code) });
  assert.deepEqual([wrong.status, wrong.body.code], [400, "INVALID_OTP"]);
  const right = await post("/phone-number/verify", { phoneNumber: phone, code });
  assert.deepEqual([right.status, right.body.user.phoneNumber], [200, phone]);
});

for (const mode of ["verify", "speak"]) {
  test(`${mode}: a refusal reaches the person, with the time to wait`, async () => {
    const { post } = appWith({ mode });
    const phone = mode === "verify" ? "+12025550123" : "+12025550124";
    await post("/phone-number/send-otp", { phoneNumber: phone });
    const soon = await post("/phone-number/send-otp", { phoneNumber: phone });
    assert.deepEqual([soon.status, soon.body.code], [429, "RESEND_TOO_SOON"]);
    assert.ok(Number(soon.headers.get("retry-after")) > 10);
    assert.match(soon.body.message, /^[A-Z].+\.$/);
    const blocked = await post("/phone-number/send-otp", { phoneNumber: "+19005550104" });
    assert.deepEqual([blocked.status, blocked.body.code], [403, "DESTINATION_BLOCKED"]);
    for (const wrong of ["+1 202 555 0123", "12025550123", "abc", ""]) {
      const refused = await post("/phone-number/send-otp", { phoneNumber: wrong });
      assert.deepEqual([refused.status, refused.body.code], [400, "INVALID_PHONE_NUMBER"]);
    }
  });

  test(`${mode}: a mistake in the set-up is told to the log, not to the person`, async () => {
    const { post, logged } = appWith({ mode, token: "lt_wrong" });
    const refused = await post("/phone-number/send-otp", { phoneNumber: "+12025550125" });
    assert.deepEqual([refused.status, refused.body.code], [500, "CALL_FAILED"]);
    assert.doesNotMatch(JSON.stringify(refused.body), /token/i);
    assert.match(logged.join("\n"), /letstalk-client: Invalid or revoked token \(401 invalid_token, request [0-9a-f-]{36}\)/);
    assert.doesNotMatch(logged.join("\n"), /lt_wrong|5550125/);
    const away = appWith({ mode, url: "http://127.0.0.1:9", maxRetries: 0 });
    assert.equal((await away.post("/phone-number/send-otp", { phoneNumber: "+12025550125" })).status, 503);
  });
}

test("a new password by a call", async () => {
  const phone = "+12025550128";
  const now = new Date();
  const user = { id: "1", name: "Ann", email: "ann@example.com", emailVerified: true, createdAt: now, updatedAt: now };
  const { post } = appWith({ mode: "verify" }, { users: [{ ...user, phoneNumber: phone, phoneNumberVerified: true }] });
  assert.equal((await post("/phone-number/request-password-reset", { phoneNumber: phone })).status, 200);
  const otp = await heard(await newestCall(phone));
  const guess = await post("/phone-number/reset-password", { phoneNumber: phone, otp: wrongFor(otp), newPassword: "a long password" });
  assert.deepEqual([guess.status, guess.body.code], [400, "INVALID_OTP"]);
  assert.equal((await post("/phone-number/reset-password", { phoneNumber: phone, otp, newPassword: "a long password" })).status, 200);
  const signedIn = await post("/sign-in/phone-number", { phoneNumber: phone, password: "a long password" });
  assert.deepEqual([signedIn.status, signedIn.body.user.email], [200, "ann@example.com"]);
});

test("no stranger learns who has an account", async () => {
  const { post } = appWith({ mode: "verify" });
  const phone = "+12025550126";
  await post("/phone-number/send-otp", { phoneNumber: phone });
  await post("/phone-number/verify", { phoneNumber: phone, code: await heard(await newestCall(phone)) });
  // 30 s have not passed: the second call is refused, and the response is that for a phone without an account.
  const known = await post("/phone-number/request-password-reset", { phoneNumber: phone });
  const unknown = await post("/phone-number/request-password-reset", { phoneNumber: "+12025550129" });
  assert.deepEqual([known.status, known.body], [unknown.status, unknown.body]);
  assert.equal(known.status, 200);
  assert.equal((await api.list({ phone: "+12025550129" })).verifications.length, 0);
});

test("a session keeps a stranger from ending somebody's code", async () => {
  const phone = "+12025550127";
  const mine = appWith({ mode: "verify", session: () => "my browser" });
  const other = appWith({ mode: "verify", session: () => "another browser" });
  await mine.post("/phone-number/send-otp", { phoneNumber: phone });
  const code = await heard(await newestCall(phone));
  await other.post("/phone-number/send-otp", { phoneNumber: phone });
  for (let tries = 0; tries < 5; tries += 1) await other.post("/phone-number/verify", { phoneNumber: phone, code: wrongFor(code) });
  assert.equal((await mine.post("/phone-number/verify", { phoneNumber: phone, code })).status, 200);
});

test("a mode that is none is said to be none", () => {
  assert.throws(() => letstalk.betterAuth({ url, token, mode: "sms" }), TypeError);
});
