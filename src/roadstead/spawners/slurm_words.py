"""Slurm's reasons, ends and refusals in plain words, each with what one can do about it where one can."""

import re
from typing import Final

from .jobs import End

_REASONS: Final = {
    "": "Slurm has not looked at it yet",
    "Priority": "other jobs come first",
    "Resources": "the resources it asks for are in use",
    "BeginTime": "it may not begin yet",
    "Cleaning": "it is being cleaned up after",
    "Dependency": "it waits for another job",
    "DependencyNeverSatisfied": "it waits for a job that failed; it will never start",
    "InvalidAccount": "its account is not valid; choose another",
    "InvalidQOS": "its QOS is not valid; choose another",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "it is held; release it, or stop it",
    "Licenses": "a licence that it needs is in use",
    "MaxMemPerLimit": "it asks for more memory than is allowed for one core or node",
    "NodeDown": "a node that it needs is down",
    "None": "Slurm has not looked at it yet",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition does not start jobs at the moment",
    "PartitionNodeLimit": "it asks for more nodes than its partition allows, or for some that are down",
    "PartitionTimeLimit": "it asks for more time than its partition allows; ask for less",
    "Prolog": "its node is being prepared",
    "ReqNodeNotAvail": "a node that it needs is down or reserved",
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted",
}
_LIMITS: Final = (
    (re.compile(r"(?:Grp|Max)Submit"), "as many jobs as are allowed are in the queue"),
    (re.compile(r"(?:Grp|Max)Jobs"), "as many jobs as are allowed are running"),
    (
        re.compile(r"(?:BillingRunM|CPURunM|CPUM|Billing|RunM|GRESRunM|GRESM)\w*"),
        "the computing time is used up",
    ),
    (re.compile(r"(?:Cpu|CPU|Node|Mem|Memory|GRES|TRES|Gres)\w*"), "as much as is allowed is in use"),
    (re.compile(r"Wall\w*"), "it asks for more time than is allowed"),
)
_WHOSE: Final = {"QOS": " in this QOS", "Assoc": " in this account"}

_ENDS: Final = {
    "COMPLETED": (0, "The server ended by itself."),
    "CANCELLED": (130, "The job was cancelled{by}."),
    "TIMEOUT": (124, "The job's time was over. Choose more time, or save your work earlier."),
    "DEADLINE": (124, "The job could not end before its deadline."),
    "OUT_OF_MEMORY": (137, "The job needed more memory than it had. Choose more memory."),
    "NODE_FAIL": (1, "The node {nodes} failed. Start the server again."),
    "BOOT_FAIL": (1, "The node {nodes} could not be started. Start the server again."),
    "LAUNCH_FAILED": (1, "The job could not be started on the node {nodes}. Start the server again."),
    "PREEMPTED": (143, "The job had to make room for another. Start the server again."),
    "REVOKED": (1, "The job was started on another cluster."),
    "FAILED": (1, "The job failed{code}."),
}

_REFUSALS: Final = (
    (
        "Invalid account or account/partition",
        "This account may not be used there; choose another one.",
    ),
    ("Invalid partition", "There is no such partition; choose another."),
    ("Invalid qos", "This QOS may not be used there; choose another."),
    ("Invalid reservation", "There is no such reservation, or you may not use it."),
    ("access/permission denied", "You have no right to start this job."),
    ("Job violates accounting/QOS policy", "A limit is reached: of jobs at once, of their size, or of their time."),
    ("Requested node configuration is not available", "No node has what was asked for; ask for less."),
    ("Requested time limit", "It asks for more time than is allowed; ask for less."),
    ("Memory specification can not be satisfied", "No node has so much memory; ask for less."),
    ("Node count specification invalid", "There are not so many nodes; ask for fewer."),
    ("User's group not permitted", "Your groups may not use this partition; choose another."),
    ("Slurm job queue full", "The queue is full; try again later."),
)


def why_waiting(reason: str) -> str:
    """The reason in plain words, as the rest of 'The job waits: ...'."""
    word = re.split(r"[,(\s]", reason.strip("()"), maxsplit=1)[0]
    if word in _REASONS:
        return _REASONS[word]
    for begin, whose in _WHOSE.items():
        for pattern, text in _LIMITS:
            if word.startswith(begin) and pattern.search(word.removeprefix(begin)):
                return text + whose
    return f"Slurm says '{word}'"


def end(state: str, code: str, nodes: str) -> End:
    """How a job ended, from its state ('CANCELLED by 1000'), its exit code ('1:0') and its nodes."""
    word, _, rest = state.partition(" ")
    number, text = _ENDS.get(word, (1, f"The job ended as {word}."))
    status = code.partition(":")[0]
    number = int(status) if word == "FAILED" and status.isdigit() and int(status) else number
    by = f" by uid {rest.removeprefix('by ')}" if rest.startswith("by ") else ""
    known = f" with exit code {status}" if status.isdigit() else ""
    return End(number, text.format(by=by, code=known, nodes=nodes or "of the job"))


def refusal(said: str) -> str:
    """Why a job was not taken, in plain words with Slurm's own behind."""
    for fragment, text in _REFUSALS:
        if fragment.lower() in said.lower():
            return f"Slurm did not take the job. {text} (Slurm says: {said})"
    return f"Slurm did not take the job: {said}"
