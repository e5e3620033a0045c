// A program written for Twilio's SDK for Node, with one line more. It asks the test what it cannot know: what a phone
// heard, and to let time go by. Questions and answers are lines of JSON.
import { createInterface } from "node:readline/promises";
import twilio from "twilio";

const { base, account, token, phones } = JSON.parse(process.env.FLOW);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question) {
  process.stdout.write(`${JSON.stringify(question)}\n`);
  return JSON.parse((await lines.next()).value);
}

async function refusal(promise) {
  try {
    return { resolved: await promise };
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, moreInfo: error.moreInfo };
  }
}

const client = twilio(account, token);
client.verify.baseUrl = `${base}/twilio`;

const made = await client.verify.v2.services.create({ friendlyName: "Acme Bank", codeLength: 7, customCodeEnabled: true });
const service = client.verify.v2.services(made.sid);
const found = {};

const shown = [];
console.log = (...words) => shown.push(words);
await import("./guide.mjs"); // the program of docs/connect/twilio.md
found.guide = shown.map(([sid, status]) => [sid.slice(0, 2), status]);

const sent = await service.verifications.create({ to: phones[0], channel: "call" });
const code = await ask({ heard: sent.sendCodeAttempts[0].attempt_sid });
found.codeLength = code.length;
found.wrong = (await service.verificationChecks.create({ to: phones[0], code: "000000000" })).status;
await ask({ wait: 21 });
const again = await service.verifications.create({ to: phones[0], channel: "CALL" });
found.isSame = again.sid === sent.sid;
found.isSameCode = (await ask({ heard: again.sendCodeAttempts[1].attempt_sid })) === code;
found.fetched = (await service.verifications(phones[0]).fetch()).sid === sent.sid;
const right = await service.verificationChecks.create({ verificationSid: sent.sid, code });
found.right = [right.status, right.valid, right.dateCreated instanceof Date];
found.used = await refusal(service.verificationChecks.create({ to: phones[0], code }));

const custom = await service.verifications.create({ to: phones[1], channel: "call", customCode: "4711" });
found.custom = await ask({ heard: custom.sendCodeAttempts[0].attempt_sid });
found.approved = (await service.verifications(custom.sid).update({ status: "approved" })).status;

const third = await service.verifications.create({ to: phones[2], channel: "call" });
found.canceled = (await service.verifications(third.sid).update({ status: "canceled" })).status;

await service.rateLimits.create({ uniqueName: "ip" });
await service.rateLimits("ip").buckets.create({ max: 1, interval: 60 });
await service.verifications.create({ to: phones[3], channel: "call", rateLimits: { ip: "192.0.2.1" } });
found.limited = await refusal(
  service.verifications.create({ to: phones[4], channel: "call", rateLimits: { ip: "192.0.2.1" } }),
);

const summary = await client.verify.v2.verificationAttemptsSummary().fetch({ verifyServiceSid: made.sid });
found.summary = [summary.totalAttempts, summary.totalConverted, summary.conversionRatePercentage];
const attempts = await client.verify.v2.verificationAttempts.list({ verifyServiceSid: made.sid, pageSize: 2 });
found.attempts = attempts.map((attempt) => attempt.channelData.to);

found.invalid = await refusal(service.verifications.create({ to: "nobody", channel: "call" }));
const stranger = twilio(account, "lt_nothing_real");
stranger.verify.baseUrl = client.verify.baseUrl;
found.stranger = await refusal(stranger.verify.v2.services.list());
found.removed = await client.verify.v2.services(made.sid).remove();
found.gone = await refusal(client.verify.v2.services(made.sid).fetch());

process.stdout.write(`${JSON.stringify({ found })}\n`);
process.exit(0);
