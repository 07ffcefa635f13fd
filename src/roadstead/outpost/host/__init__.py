"""The process that runs one system's Spawner class as a guest: any unmodified JupyterHub class, told over a socket.

It is the only part of the outpost that imports JupyterHub. It keeps nothing on disk but certificates: what must survive
it is in the outpost's ledger, and servers live on when it ends.
"""
