curl -X POST https://img.example.org/api/upload \
  -H "Authorization: Bearer $IMAGEUPLOAD_API_KEY" \
  -F "file=@photo.jpg" \
  -F "expiration=1mo" | jq -r .direct_url
