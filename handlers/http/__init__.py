"""HTTP itself: connections, requests, bodies, addresses, and what every handler shares."""
