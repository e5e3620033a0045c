"""Request and answer models: what validates is what the OpenAPI document shows."""
