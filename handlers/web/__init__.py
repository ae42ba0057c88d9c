"""What people see: pages, pictures and their forms."""
