// Better Auth with its API-key and phone-number plugins on SQLite, behind Node's own HTTP server.
//
// node server.mjs prepare DATABASE CODES   makes the tables, a key (printed) and what CODES holds: [[phone, code], ...]
// node server.mjs serve DATABASE PORT
//
// Given its best: no session is made, deleting expired rows at each look-up is off (`disableCleanup`), a phone's user
// exists already, and the code goes nowhere. The key is checked and counted once for each request.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { phoneNumber } from "better-auth/plugins";
import Database from "better-sqlite3";

const OUT_OF_REACH = 100_000_000;
const [task, path, last] = process.argv.slice(2);

const database = new Database(path);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = NORMAL");

const options = {
  database,
  baseURL: "http://127.0.0.1",
  secret: "a secret for this measurement only, nothing else",
  telemetry: { enabled: false },
  verification: { disableCleanup: true },
  rateLimit: { enabled: true, window: 60, max: OUT_OF_REACH, customRules: { "/phone-number/*": { window: 60, max: OUT_OF_REACH } } },
  advanced: { ipAddress: { ipAddressHeaders: ["x-real-ip"] } },
  plugins: [
    phoneNumber({ expiresIn: 600, sendOTP: () => {} }),
    apiKey({ rateLimit: { enabled: true, timeWindow: 60_000, maxRequests: OUT_OF_REACH } }),
  ],
};
const auth = betterAuth(options);

async function prepare() {
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  const context = await auth.$context;
  const user = await context.internalAdapter.createUser({ name: "acme", email: "acme@example.com", emailVerified: true });
  const { key } = await auth.api.createApiKey({ body: { userId: user.id } });
  const now = new Date();
  const soon = new Date(now.getTime() + 600_000).toISOString();
  const insertCode = database.prepare(
    'INSERT INTO verification (id, identifier, value, "expiresAt", "createdAt", "updatedAt") VALUES (?, ?, ?, ?, ?, ?)',
  );
  const insertUser = database.prepare(
    'INSERT INTO user (id, name, email, "emailVerified", "createdAt", "updatedAt", "phoneNumber") VALUES (?, ?, ?, 0, ?, ?, ?)',
  );
  database.transaction(() => {
    for (const [phone, code] of JSON.parse(readFileSync(last, "utf8"))) {
      insertCode.run(randomUUID(), phone, `${code}:0`, soon, now.toISOString(), now.toISOString());
      insertUser.run(randomUUID(), phone, `${phone}@example.com`, now.toISOString(), now.toISOString(), phone);
    }
  })();
  process.stdout.write(key + "\n");
}

// Of the library's own server API: checks a code and uses it up, and knows no user at all.
async function consume(request, response) {
  let text = "";
  for await (const piece of request) text += piece;
  const body = await auth.api.consumePhoneNumberOTP({ body: JSON.parse(text) });
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function serve() {
  const handle = toNodeHandler(auth);
  createServer(async (request, response) => {
    const key = request.headers["x-api-key"];
    const { valid } = key ? await auth.api.verifyApiKey({ body: { key } }) : { valid: false };
    if (!valid) response.writeHead(401).end();
    else if (request.url === "/consume") await consume(request, response).catch(() => response.writeHead(400).end());
    else await handle(request, response);
  }).listen(Number(last), "127.0.0.1");
}

await (task === "prepare" ? prepare() : serve());
