"""Pages for admins: status, accounts, everybody's newest images, blocklist, invites, audit log."""
