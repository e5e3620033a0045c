"""E-mail: templates, the outbox, and the ways to send."""
