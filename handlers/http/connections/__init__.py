"""HTTP/1.1 on connections of our own: what Tornado's handlers stand on in place of Tornado's server."""
