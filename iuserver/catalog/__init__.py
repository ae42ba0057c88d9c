"""Catalogs: the implementations of the port Catalog, on SQLite and MongoDB."""
