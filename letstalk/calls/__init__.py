"""Calls: saying a script to a phone before a deadline."""
