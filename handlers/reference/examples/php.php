<?php
$curl = curl_init('https://img.example.org/api/upload');
curl_setopt_array($curl, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . getenv('IMAGEUPLOAD_API_KEY')],
    CURLOPT_POSTFIELDS => [
        'file' => new CURLFile('photo.jpg', 'image/jpeg', 'photo.jpg'),
        'expiration' => '1mo',
    ],
]);
$answer = curl_exec($curl);
if ($answer === false) {
    throw new Exception(curl_error($curl));
}
$image = json_decode($answer, true);
if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
    throw new Exception($image['error']);
}
echo $image['direct_url'] . PHP_EOL;
