"""The Model Context Protocol: the endpoint, its JSON-RPC, and the tools."""
