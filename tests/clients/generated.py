"""Uploads, lists and deletes by a client that openapi-python-client has made: arguments are URL, key and picture."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from made import AuthenticatedClient
from made.api.images import delete_image, get_image, list_images
from made.api.upload import upload_image
from made.models import Deleted, Error, ImageDetails, ImagePage, UploadedImage, UploadImageForm
from made.models.upload_image_form_expiration import UploadImageFormExpiration
from made.types import File

url, key, picture = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
file = File(BytesIO(Path(picture).read_bytes()), "photo.jpg", "image/jpeg")
form = UploadImageForm(file=file, expiration=UploadImageFormExpiration.VALUE_1, view_limit=3)
stored = upload_image.sync(client=client, body=form, idempotency_key="made")
assert isinstance(stored, UploadedImage), stored
assert (stored.filename, stored.expiration, stored.quota.used) == ("photo.jpg", form.expiration, 1)
page = list_images.sync(client=client, limit=10)
assert isinstance(page, ImagePage)
assert [image.slug for image in page.images] == [stored.slug]
assert isinstance(get_image.sync(stored.slug, client=client), ImageDetails)
assert isinstance(delete_image.sync(stored.slug, client=client), Deleted)
gone = delete_image.sync(stored.slug, client=client)
assert isinstance(gone, Error)
assert gone.code == "not_found"
sys.stdout.write("done\n")
