"""Logs, metrics, request ids."""

from letstalk.hidden_imports import hidden

# For its coloured tracebacks it would import rich, 4 MB, where it finds it; ours are plain text.
with hidden("rich"):
    import structlog as structlog
