use strict;
use warnings;
use HTTP::Request::Common qw(POST);
use JSON::PP;
use LWP::UserAgent;

my $answer = LWP::UserAgent->new->request(POST 'https://img.example.org/api/upload',
    Content_Type => 'form-data',
    Authorization => 'Bearer ' . $ENV{'IMAGEUPLOAD_API_KEY'},
    Content => [
        file => ['photo.jpg', 'photo.jpg', 'Content-Type' => 'image/jpeg'],
        expiration => '1mo',
    ]);
my $image = decode_json($answer->decoded_content);
die $image->{'error'} unless $answer->is_success;
print $image->{'direct_url'}, "\n";
