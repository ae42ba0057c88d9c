"""iuserver, an image-upload server: the use cases, rules and stores. It knows nothing of HTTP."""

__version__ = "0.1.0"
