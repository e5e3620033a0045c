"""The digits and sentences of a language as files, by a packaged voice: for a provider without a voice of its own."""
