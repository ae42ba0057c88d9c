"""Web pages, image bytes and forms, for browsers."""
