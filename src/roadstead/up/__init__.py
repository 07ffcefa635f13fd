"""`roadstead up`: hub, proxy and an outpost as supervised processes on one machine, without systemd or root."""
