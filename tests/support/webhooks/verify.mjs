// Which of the webhooks on standard input npm's `standardwebhooks` and `svix` accept: a line of JSON for each library.
//
// node verify.mjs MODULES, with [{"secret", "headers", "body"}, …] as its input.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const load = createRequire(join(process.argv[2], "none.js"));
const webhooks = JSON.parse(readFileSync(0, "utf8"));

for (const name of ["standardwebhooks", "svix"]) {
  const { Webhook } = load(name);
  const verdicts = webhooks.map(({ secret, headers, body }) => {
    try {
      new Webhook(secret).verify(body, headers);
      return "accepted";
    } catch (error) {
      return error.constructor.name;
    }
  });
  console.log(JSON.stringify(verdicts));
}
