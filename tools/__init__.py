"""Programs that measure, break and attack a running service."""
