"""What many Python services do with an upload: FastAPI, python-multipart; Pillow turns it and encodes it anew."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI, UploadFile
from PIL import Image, ImageOps

FOLDER = Path(os.environ["BENCH_FILES"])

app = FastAPI()


@app.post("/upload")
def upload(file: UploadFile) -> dict[str, object]:
    """A plain function, so FastAPI runs it in a thread."""
    with Image.open(file.file) as image:
        upright = ImageOps.exif_transpose(image)
        name = f"{uuid4().hex}.{str(image.format).lower()}"
        upright.save(FOLDER / name, image.format)
    return {"name": name, "width": upright.width, "height": upright.height}
