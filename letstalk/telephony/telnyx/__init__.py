"""Telnyx: commands through its SDK, events by signed webhooks. Only this folder knows the vendor's own terms."""
