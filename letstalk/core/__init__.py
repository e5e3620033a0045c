"""Errors, actors, scopes, the clock and ids. Imports no other package of ours."""
