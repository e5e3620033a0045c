"""What everything else is built on: errors, actors, scopes, clock, ids. Imports nothing of ours."""
