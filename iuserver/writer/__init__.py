"""The writer process: puts blobs and commits records for the server, where these are on the local machine.

On threads of the server, each system call would wait for the interpreter lock, and the event loop with it.
"""
