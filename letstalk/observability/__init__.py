"""Logs, metrics, request ids."""

from letstalk.core.hidden_imports import hidden

# Where it finds them it imports rich, 4 MB, for coloured tracebacks, and greenlet, 1 MB, for threads that are none.
with hidden("rich", "greenlet"):
    import structlog as structlog
