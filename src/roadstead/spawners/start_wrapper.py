"""Starts a server inside a batch job: takes its secrets, holds a port, becomes the server, and says where it listens.

One file of the standard library alone, for any Python from 3.6 on: the node needs nothing else but the server itself.
It is run as the user, by these words:

stage         reads a JSON object from standard input and makes the job's folder of it
look NAME     prints what the job has left in its folder: its report, its notes, the end of its log
run FOLDER    in the job: becomes the server
note FOLDER TEXT...   in the job: leaves a sentence for the user's event log
"""

import errno
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Dict, List, Tuple
from urllib.parse import urlsplit, urlunsplit

PLACE = os.path.join(".roadstead", "jobs")
SECRETS = "start.json"
REPORT = "report.json"
NOTES = "notes"
LOG = "log"
LARGEST = 65536
LISTEN_FD = 3


def main(arguments: List[str]) -> None:
    """Do what the first word says."""
    word, rest = arguments[0], arguments[1:]
    if word == "stage":
        say(stage(json.loads(sys.stdin.read())))
    elif word == "look":
        say(look(folder_of(rest[0])))
    elif word == "note":
        note(rest[0], " ".join(rest[1:]))
    elif word == "run":
        run(rest[0])
    else:
        sys.exit(f"There is no '{word}' here; see the first lines of {__file__}.")


def say(answer: Dict[str, Any]) -> None:
    """Print an answer for the Spawner."""
    sys.stdout.write(json.dumps(answer) + "\n")


# --- on the submitting host


def home() -> str:
    """The user's home. Ends with a sentence when there is none."""
    path = os.path.expanduser("~")
    if not os.path.isdir(path):
        sys.exit(f"The home folder {path} does not exist yet. Log in at the site once, or ask its support.")
    return path


def folder_of(name: str) -> str:
    """The folder of a job, in the user's home."""
    if not re.match(r"^[a-z0-9][a-z0-9-]{0,99}$", name):
        sys.exit("This is no name of a job.")
    return os.path.join(home(), PLACE, name)


def stage(order: Dict[str, Any]) -> Dict[str, Any]:
    """Make the job's folder, with the secrets in it and a copy of this program."""
    folder = folder_of(order["name"])
    os.umask(0o077)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        with open(os.path.abspath(__file__)) as program:
            write(os.path.join(folder, "start.py"), program.read())
        write(os.path.join(folder, SECRETS), json.dumps(order["start"]))
    except OSError as error:
        sys.exit(f"The folder {folder} cannot be written: {error.strerror}. Is there room in your home?")
    prune(os.path.dirname(folder), os.path.basename(folder), float(order["keep_days"]))
    return {"folder": folder, "home": home()}


def write(path: str, text: str) -> None:
    """Write a file that nobody else can read, as a whole or not at all."""
    part = f"{path}.{os.getpid()}"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.rename(part, path)


def prune(place: str, own: str, days: float) -> None:
    """Remove folders of jobs that were left so many days ago."""
    for entry in os.scandir(place):
        try:
            old = entry.stat(follow_symlinks=False).st_mtime < time.time() - days * 86400
            if entry.is_dir(follow_symlinks=False) and old and entry.name != own:
                shutil.rmtree(entry.path, ignore_errors=True)
        except OSError:
            continue


def look(folder: str) -> Dict[str, Any]:
    """What the job has left in its folder until now."""
    try:
        os.scandir(folder).close()  # some network file systems show new files only then
    except OSError as error:
        sys.exit(f"The folder {folder} cannot be read: {error.strerror}. Was it removed?")
    return {
        "report": read(folder, REPORT),
        "notes": read(folder, NOTES).splitlines(),
        "log": read(folder, LOG)[-4000:],
    }


def read(folder: str, name: str) -> str:
    """The end of a file; nothing where there is none."""
    try:
        with open(os.path.join(folder, name), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LARGEST))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


# --- in the job


def note(folder: str, text: str) -> None:
    """Leave a sentence for the event log of the start."""
    line = " ".join(text.split())[:1000]
    with open(os.path.join(folder, NOTES), "a") as file:
        file.write(line + "\n")
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def run(folder: str) -> None:
    """Become the server."""
    start = take_secrets(folder)
    command = start["command"]
    environment = dict(os.environ, **start["environment"])
    listener, port = hold_port(start["ip"], start["first_port"], start["last_port"], folder)
    environment["JUPYTERHUB_SERVICE_URL"] = with_port(environment.get("JUPYTERHUB_SERVICE_URL", ""), start["ip"], port)
    server = os.getpid()
    if os.fork() == 0:
        listener.close()
        companion(folder, start, port, server)
        os._exit(0)
    if start["hand_over"]:
        hand_over(listener, environment)
    else:
        # The descriptor stays open with the server: nobody else is given the port before the server has bound it.
        listener.set_inheritable(True)
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        note(folder, f"The server's program {command[0]} cannot be run on {node()}: {error.strerror}.")
        os._exit(127)


def take_secrets(folder: str) -> Dict[str, Any]:
    """Read what only this start may know, and remove it from the disk."""
    path = os.path.join(folder, SECRETS)
    try:
        with open(path) as file:
            start = json.load(file)
        os.unlink(path)
    except (OSError, ValueError):
        note(folder, "This job was started a second time, or its folder was changed; it ends. Start the server anew.")
        sys.exit(1)
    return dict(start)


def hold_port(ip: str, first: int, last: int, folder: str) -> Tuple[socket.socket, int]:
    """A socket bound to a free port of the range, so that nobody is given it in between; 0 is any port.

    It was bound alone. Then it allows a second socket, the server's own, which Linux grants while this one does not
    listen.
    """
    count = last - first + 1
    begin = int.from_bytes(os.urandom(4), "big") % count
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for number in range(count):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.bind((ip, first + (begin + number) % count))
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                continue
            note(folder, f"The server cannot listen on {ip} of {node()}: {error.strerror}.")
            sys.exit(1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return listener, int(listener.getsockname()[1])
    note(folder, f"All ports from {first} to {last} are in use on {node()}.")
    sys.exit(1)


def hand_over(listener: socket.socket, environment: Dict[str, str]) -> None:
    """Give the server a socket that listens already, as systemd does (man 3 sd_listen_fds)."""
    listener.listen(128)
    if listener.fileno() != LISTEN_FD:
        os.dup2(listener.fileno(), LISTEN_FD)
    os.set_inheritable(LISTEN_FD, True)
    environment["LISTEN_FDS"] = "1"
    environment["LISTEN_PID"] = str(os.getpid())


def with_port(url: str, ip: str, port: int) -> str:
    """The address at which JupyterHub tells a server to listen, with the port that it really has."""
    parts = urlsplit(url)
    host = f"[{ip}]" if ":" in ip else ip
    return urlunsplit((parts.scheme or "http", f"{host}:{port}", parts.path or "/", "", ""))


def node() -> str:
    """This node, as the scheduler calls it."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


# --- beside the server


def companion(folder: str, start: Dict[str, Any], port: int, server: int) -> None:
    """Once the server listens, say where: in the job's folder and, where there is one, at the report address."""
    os.setsid()
    if not wait_for_server(start["ip"], port, server):
        return
    report = signed(start, {"sequence": 1, "event": "listening", "node": node(), "port": port})
    write(os.path.join(folder, REPORT), report)
    if start["report_url"]:
        send(start["report_url"], report, server)


def signed(start: Dict[str, Any], news: Dict[str, Any]) -> str:
    """A report that shows it is of this attempt."""
    text = json.dumps(dict(news, attempt=start["name"]), sort_keys=True)
    signature = hmac.new(start["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    return json.dumps({"report": text, "signature": signature})


def lives(server: int) -> bool:
    """Whether the server, our parent, is still there."""
    return os.getppid() == server


def wait_for_server(ip: str, port: int, server: int) -> bool:
    """False when the server ends before it listens."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(ip, ip)
    pause = 0.02
    while lives(server):
        try:
            socket.create_connection((address, port), 2).close()
            return True
        except OSError:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
    return False


def send(url: str, report: str, server: int) -> None:
    """Send the report until somebody has taken or refused it, also when nobody is there for a long time."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    pause = 0.5
    while lives(server):
        request = urllib.request.Request(url, report.encode(), {"Content-Type": "application/json"})
        try:
            opener.open(request, timeout=10).close()
            return
        except urllib.error.HTTPError as error:
            if 400 <= error.code < 500:
                return
        except OSError:
            pass
        wait(pause, server)
        pause = min(pause * 2, 60)


def wait(seconds: float, server: int) -> None:
    """Sleep, but not beyond the end of the server."""
    end = time.monotonic() + seconds
    while lives(server) and time.monotonic() < end:
        time.sleep(min(1.0, seconds))


if __name__ == "__main__":
    main(sys.argv[1:] or ["help"])
