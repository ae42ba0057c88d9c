// Cargo.toml:
// reqwest = { version = "0.12", features = ["blocking", "json", "multipart"] }
// serde_json = "1"
use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let form = reqwest::blocking::multipart::Form::new()
        .file("file", "photo.jpg")?
        .text("expiration", "1mo");
    let image: serde_json::Value = reqwest::blocking::Client::new()
        .post("https://img.example.org/api/upload")
        .bearer_auth(env::var("IMAGEUPLOAD_API_KEY")?)
        .multipart(form)
        .send()?
        .error_for_status()?
        .json()?;
    println!("{}", image["direct_url"].as_str().unwrap_or_default());
    Ok(())
}
