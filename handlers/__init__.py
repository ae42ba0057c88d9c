"""HTTP handlers: they turn requests into calls of iuserver's use cases, and results into responses."""
