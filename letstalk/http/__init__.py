"""HTTP: the server, guards, errors, rate limits, headers, the OpenAPI document."""
