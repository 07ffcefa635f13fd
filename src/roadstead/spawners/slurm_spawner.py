"""The Spawner for Slurm."""

import shlex
from dataclasses import replace
from typing import Any

from traitlets import Unicode

from .batch import BatchSpawner
from .driver import Driver
from .folder import Staged
from .jobs import JobRequest
from .slurm import SlurmDriver
from .values import Word


class SlurmSpawner(BatchSpawner):
    """Starts servers as Slurm jobs."""

    req_qos = Word(help="The quality of service (QOS).").tag(config=True)
    req_reservation = Word(help="The reservation to use.").tag(config=True)
    req_cluster = Word(help="The cluster, where one Slurm has several.").tag(config=True)
    req_gres = Word(help="Generic resources, such as `gpu:a100:2`.").tag(config=True)
    req_srun = Unicode(
        help="`srun`, with options if need be, makes the server a step of its own; if not set it is the batch step."
    ).tag(config=True)

    def make_driver(self) -> Driver:
        return SlurmDriver(self.req_cluster)

    def request(self, staged: Staged) -> JobRequest:
        return replace(super().request(staged), qos=self.req_qos, reservation=self.req_reservation, gres=self.req_gres)

    def launcher(self) -> list[str]:
        return shlex.split(self.req_srun)

    def script_values(self) -> dict[str, Any]:
        return {"qos": self.req_qos, "reservation": self.req_reservation, "gres": self.req_gres}
