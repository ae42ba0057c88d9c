"""The Model Context Protocol: the endpoint, its JSON-RPC layer, and the tools."""
