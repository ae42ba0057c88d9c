// What many Node services do with an upload: express, multer in memory, sharp turns it upright and encodes it anew.
const crypto = require("node:crypto");
const path = require("node:path");
const express = require("express");
const multer = require("multer");
const sharp = require("sharp");

const [folder, port] = process.argv.slice(2);
const app = express();
const upload = multer({ storage: multer.memoryStorage() });

app.post("/upload", upload.single("file"), async (request, response) => {
  const name = crypto.randomUUID() + path.extname(request.file.originalname);
  const { width, height, size } = await sharp(request.file.buffer).rotate().toFile(path.join(folder, name));
  response.json({ name, width, height, size });
});

app.listen(Number(port), "127.0.0.1");
