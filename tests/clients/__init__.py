"""Agents made of the official SDKs; each is run by a program of its own and tells what it saw as JSON."""
