"""Bytes by key: the implementations of the port BlobStore, each named after its technology."""
