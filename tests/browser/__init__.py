"""What a person sees and does, in Chromium, with the real hub, proxy, outpost, Spawners and JupyterLab."""
