"""The reference of the API, told by the route table: Markdown for docs/, and a page."""
