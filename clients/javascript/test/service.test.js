// Against a served application, whose address and token the environment has: LETSTALK_URL and LETSTALK_TOKEN.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { Conflict, DestinationBlocked, InvalidCode, InvalidPhone, LetsTalk, NotFound, VerificationOver } from "letstalk-client";

const { LETSTALK_URL: url, LETSTALK_TOKEN: token } = process.env;
const letstalk = new LetsTalk({ url, token });

async function heard(callId) {
  for (let tries = 0; tries < 1500; tries += 1) {
    const { code } = await (await fetch(`${url}/simulator/calls/${callId}`)).json();
    if (code) return code;
    await pause(20);
  }
  throw new Error("nothing was heard");
}

test("a phone is proven, and everything about it can be read", async () => {
  const sent = await letstalk.send({ phone: "+1 202 555 0111", reference: "js-1", locale: "de" });
  assert.equal(sent.spoken_locale, "de-DE");
  const code = await heard(sent.call_id);
  const wrong = String((Number(code) + 1) % 1_000_000).padStart(6, "0");
  await assert.rejects(letstalk.verify({ phone: "+12025550111", code: wrong }), (error) => {
    assert.ok(error instanceof InvalidCode);
    assert.equal(error.attemptsRemaining, 4);
    return true;
  });
  assert.equal((await letstalk.verify({ phone: "+12025550111", code })).verified, true);
  await assert.rejects(letstalk.verify({ verification_id: sent.verification_id, code }), VerificationOver);
  assert.equal((await letstalk.get(sent.verification_id)).status, "approved");
  const found = [];
  for await (const each of letstalk.iterate({ reference: "js-1", limit: 1 })) found.push(each.verification_id);
  assert.deepEqual(found, [sent.verification_id]);
  const { events } = await letstalk.listEvents({ verification_id: sent.verification_id });
  assert.ok(events.some((event) => event.type === "verification.approved"));
  assert.deepEqual(await letstalk.getEvent(events[0].event_id), events[0]);
});

test("a cancellation, a spoken code, and refusals", async () => {
  const sent = await letstalk.send({ phone: "+12025550112" });
  await assert.rejects(letstalk.replay({ verification_id: sent.verification_id }), { code: "replay_too_soon", status: 429 });
  assert.equal((await letstalk.cancel(sent.verification_id)).status, "canceled");
  await assert.rejects(letstalk.cancel(sent.verification_id), Conflict);

  const accepted = await letstalk.speak({ phone: "+12025550113", code: "048213" });
  assert.equal(await heard(accepted.call_id), "048213");
  assert.equal((await letstalk.reportOutcome(accepted.call_id, { approved: true })).approved, true);
  assert.equal((await letstalk.getSpokenCall(accepted.call_id)).approved, true);

  await assert.rejects(letstalk.send({ phone: "12" }), InvalidPhone);
  await assert.rejects(letstalk.send({ phone: "+19005550104" }), DestinationBlocked);
  await assert.rejects(letstalk.get("0199a1f4-0000-7000-8000-000000000000"), NotFound);
  assert.ok((await letstalk.listLanguages()).languages.length > 40);
});
