"""Measurements for operators and for us. Speaks HTTP only and imports nothing of the server."""
