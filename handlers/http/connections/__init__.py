"""Our HTTP/1.1 server: Tornado's handlers run on it in place of Tornado's own connections."""
