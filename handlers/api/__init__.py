"""The REST API: uploads, images, folders and quota, as the API document has them."""
