"""From untrusted bytes to a picture with nothing private in it, in processes of their own, without decoding it."""
