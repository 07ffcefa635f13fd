"""JupyterHub Spawner classes of our own: vanilla ones, for any hub directly or in an outpost."""

from .slurm_spawner import SlurmSpawner

__all__ = ["SlurmSpawner"]
