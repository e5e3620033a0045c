"""Twilio's Verify API, version 2, so that programs written for Twilio's SDKs have their codes spoken here."""
