"""Simulated calls without cost: phones that ring, answer, listen and hang up inside this process."""
