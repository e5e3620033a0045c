"""The settings: read, checked and typed."""
