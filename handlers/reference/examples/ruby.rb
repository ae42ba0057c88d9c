require 'json'
require 'net/http'

uri = URI('https://img.example.org/api/upload')
request = Net::HTTP::Post.new(uri)
request['Authorization'] = "Bearer #{ENV['IMAGEUPLOAD_API_KEY']}"
request.set_form([
  ['file', File.open('photo.jpg'), { filename: 'photo.jpg', content_type: 'image/jpeg' }],
  ['expiration', '1mo'],
], 'multipart/form-data')
answer = Net::HTTP.start(uri.hostname, uri.port, use_ssl: uri.scheme == 'https') { |http| http.request(request) }
image = JSON.parse(answer.body)
raise image['error'] unless answer.is_a?(Net::HTTPOK)
puts image['direct_url']
