"""Let's Talk: proves a phone number with a call."""

__version__ = "0.1.0"
