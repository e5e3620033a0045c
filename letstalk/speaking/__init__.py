"""Speak this code: calls that say a code which somebody else made, and will check."""
