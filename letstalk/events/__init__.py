"""What happened, for apps: events in an outbox, and signed webhooks that carry them."""
