"""Mail: templates, the outbox, transports."""
