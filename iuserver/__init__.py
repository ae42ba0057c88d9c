"""iuserver: an image-upload server. What the service does; it has never heard of HTTP."""

__version__ = "0.1.0"
