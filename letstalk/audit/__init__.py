"""The audit trail: who changed what, and which requests were rejected."""
