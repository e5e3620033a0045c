"""Calls that cost nothing: phones that ring, answer, listen and hang up, all inside this process."""
