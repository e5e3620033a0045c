"""How verifications went: figures over time, kept as counts, in the dashboard and by API."""
