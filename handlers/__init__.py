"""The outside world, translated: HTTP requests into use cases of iuserver, and what they return into answers."""
