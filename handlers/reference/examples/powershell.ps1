$form = @{
    file = Get-Item 'photo.jpg'
    expiration = '1mo'
}
$headers = @{ Authorization = "Bearer $env:IMAGEUPLOAD_API_KEY" }
$image = Invoke-RestMethod -Uri 'https://img.example.org/api/upload' -Method Post -Form $form -Headers $headers
Write-Output $image.direct_url
