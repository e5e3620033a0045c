"""Verifications: codes and guesses."""
