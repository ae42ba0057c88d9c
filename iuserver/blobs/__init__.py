"""Blob stores: the implementations of the port BlobStore, on disk and S3."""
