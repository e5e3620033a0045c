// Sends messages as the systems that are connected do. node send.mjs MODULES, with a list of jobs on standard input; a
// line of JSON for each says what the system made of the answer.
//
//   {"logto": {"config": {endpoint, authorization}, "message": {to, type, payload}}}
//   {"auth0": {"action": source, "notification": {…}, "secrets": {…}}}
//   {"supabase": {"secrets": ["v1,whsec_…"], "url": …, "body": …, "join": ", "}}
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = process.argv[2];
const load = createRequire(join(modules, "none.js"));

async function logto({ config, message }) {
  const path = join(modules, "@logto/connector-http-sms/lib/index.js");
  const { default: createConnector } = await import(pathToFileURL(path));
  const connector = await createConnector({ getConfig: async () => config });
  try {
    await connector.sendMessage(message);
    return { sent: true };
  } catch (error) {
    return { sent: false, code: error.code, data: error.data };
  }
}

async function auth0({ action, notification, secrets }) {
  const folder = mkdtempSync(join(tmpdir(), "action-"));
  const file = join(folder, "action.cjs");
  writeFileSync(file, action);
  const told = {};
  const api = {
    notification: {
      drop: (reason) => void (told.dropped = reason),
      retry: (reason) => void (told.retried = reason),
    },
  };
  await createRequire(file)(file).onExecuteCustomPhoneProvider({ notification, secrets }, api);
  rmSync(folder, { recursive: true });
  return told;
}

async function supabase({ secrets, url, body, join: separator }) {
  const { Webhook } = load("standardwebhooks");
  const id = randomUUID();
  const now = new Date();
  const signatures = secrets.map((secret) => new Webhook(secret.replace(/^v1,/, "")).sign(id, now, body));
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": signatures.join(separator),
    },
    body,
  });
  return { status: response.status, answer: await response.json() };
}

const systems = { logto, auth0, supabase };
for (const job of JSON.parse(readFileSync(0, "utf8"))) {
  const [[name, message]] = Object.entries(job);
  console.log(JSON.stringify(await systems[name](message)));
}
