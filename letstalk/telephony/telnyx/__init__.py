"""Telnyx: commands by its SDK, events by signed webhooks. Everything the vendor says in its own words ends here."""
