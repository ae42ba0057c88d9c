package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
)

func main() {
	file, err := os.Open("photo.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreateFormFile("file", "photo.jpg")
	io.Copy(part, file)
	form.WriteField("expiration", "1mo")
	form.Close()
	request, _ := http.NewRequest("POST", "https://img.example.org/api/upload", &body)
	request.Header.Set("Authorization", "Bearer "+os.Getenv("IMAGEUPLOAD_API_KEY"))
	request.Header.Set("Content-Type", form.FormDataContentType())
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	var image struct {
		DirectURL string `json:"direct_url"`
		Error     string `json:"error"`
	}
	json.NewDecoder(answer.Body).Decode(&image)
	if answer.StatusCode != http.StatusOK {
		log.Fatal(image.Error)
	}
	fmt.Println(image.DirectURL)
}
