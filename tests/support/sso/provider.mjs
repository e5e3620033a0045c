// npm's `oidc-provider`, a certified OpenID Connect provider, as the tests sign in through it. Version 8 is the last for
// the Node of Debian 12.
//
// node provider.mjs MODULES PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI...
// Whoever signs in as NAME is NAME@example.com, verified unless the name begins with "unverified"; any password will do.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, port, clientId, clientSecret, ...redirectUris] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(modules, "oidc-provider", "lib", "index.js")));

// By name: for the browser that is another site than the service, which it reaches at 127.0.0.1.
const provider = new Provider(`http://localhost:${port}`, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: redirectUris }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
  pkce: { methods: ["S256"], required: () => true },
  findAccount: (_context, name) => ({
    accountId: name,
    claims: () => ({
      sub: name,
      email: `${name}@example.com`,
      email_verified: !name.startsWith("unverified"),
      preferred_username: name,
    }),
  }),
});

provider.listen(Number(port), "127.0.0.1");
