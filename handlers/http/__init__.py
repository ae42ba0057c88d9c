"""HTTP plumbing shared by all handlers: connections, bodies, addresses, CORS and error responses."""
