import os

import requests

with open("photo.jpg", "rb") as file:
    answer = requests.post(
        "https://img.example.org/api/upload",
        headers={"Authorization": "Bearer " + os.environ["IMAGEUPLOAD_API_KEY"]},
        files={"file": ("photo.jpg", file, "image/jpeg")},
        data={"expiration": "1mo"},
    )
answer.raise_for_status()
print(answer.json()["direct_url"])
