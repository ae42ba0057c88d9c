"""Putting and committing in a process of its own, where blobs or the catalog are on this machine.

On threads of the server each of their system calls would wait for the interpreter's lock, and the event loop for them.
"""
