"""Single sign-on: OpenID Connect and the JWTs of other issuers."""
