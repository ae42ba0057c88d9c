import { readFile } from 'node:fs/promises';

const form = new FormData();
form.append('file', new Blob([await readFile('photo.jpg')], { type: 'image/jpeg' }), 'photo.jpg');
form.append('expiration', '1mo');
const answer = await fetch('https://img.example.org/api/upload', {
  method: 'POST',
  headers: { Authorization: 'Bearer ' + process.env.IMAGEUPLOAD_API_KEY },
  body: form,
});
const image = await answer.json();
if (!answer.ok) throw new Error(image.error);
console.log(image.direct_url);
