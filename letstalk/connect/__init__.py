"""Connections: other systems hand over their codes, and a call says each."""
