"""Background work: one thread pool, wake-ups, the heartbeat."""
