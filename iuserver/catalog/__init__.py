"""Records by slug: the implementations of the port Catalog, each named after its technology."""
