"""The REST API: uploads, images, folders and quota."""
