"""Queues that are stand-ins and jobs that are not.

SLURM's programs are small scripts on PATH, Ray's dashboard and the interface of Kubernetes are servers
on sockets, and all run what they are given as processes of their own. The program they run is small and
keeps its count in a file, as a trainer keeps its checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import dagster as dg
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]

PROGRAM = '''
"""Counts to N, a step at a time, and can be stopped and taken up; or fails as it is told."""
import os, signal, sys, time
from pathlib import Path
from training.pipes import pipes_session
from training.vlm.errors import Interrupted, RecipeError, TrainerError
from training.vlm.parallel import PeerFailed, PeerLost

home, n, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
signal.signal(signal.SIGINT, lambda *_: stop.append(True))
count = home / "count"
try:
    with pipes_session() as session:
        step = int(count.read_text()) if count.exists() else 0
        with (home / "launches").open("a") as file:
            file.write(f"{os.getpid()} from {step}\\n")
        if how == "wrong":
            raise RecipeError("rank 0 is not allowed")
        if how in ("lost", "failed"):
            kind = PeerLost if how == "lost" else PeerFailed
            raise kind("process 1 of 2 is gone")
        if how == "mute":
            os._exit(1)
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        while step < n:
            if stop:
                raise Interrupted(f"SIGTERM after step {step}")
            step += 1
            count.write_text(str(step))
            session.log(f"step {step}/{n}")
            session.observe({"step": step, "loss": 1 / step})
            while (home / "hold").exists() and step >= 2 and not stop:
                time.sleep(0.02)
        print("plain words", flush=True)
        session.materialize({"steps": step, "secret": os.environ.get("HF_TOKEN", "")}, "v7")
except TrainerError as error:
    # torchrun ends with 1, whatever the status of the process that failed
    sys.exit(1 if how == "lost" else error.exit_code)
'''

GRAPH = """
import signal, sys
from pathlib import Path
import dagster as dg
from dagster_project.launching.launcher import Launcher

HERE = Path(__file__).parent

class How(dg.Config):
    how: str = "well"
    n: int = 3

@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(["tiny"]),
    retry_policy=dg.RetryPolicy(max_retries=1, delay=0),
)
def model(context: dg.AssetExecutionContext, config: How, launcher: Launcher):
    words = [str(HERE), str(config.n), config.how]
    return launcher.run(context, "rehearsal", words, HERE / "launch")

def make(instance, settings, how="well", n=3):
    return dg.materialize(
        [model], partition_key="tiny", instance=instance, raise_on_error=False,
        resources={"launcher": Launcher(settings_file=settings)},
        run_config={"ops": {"model": {"config": {"how": how, "n": n}}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )

if __name__ == "__main__":
    # a test run in the background hands an ignored SIGINT down
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with dg.DagsterInstance.local_temp(str(HERE)) as instance:
        make(instance, sys.argv[1], n=int(sys.argv[2]))
"""

SBATCH = """#!/bin/bash
# runs the script at once, with the exported variables alone
printf '%s\\n' "$@" > "$STAND_IN/sbatch.args"
for word in "$@"; do
  case "$word" in --export=*) names="${word#--export=}";; *.sh) script="$word";; esac
done
[ -e "$STAND_IN/refuse" ] && { echo 'sbatch: error: invalid partition' >&2; exit 1; }
id=$((1000 + $(ls "$STAND_IN" | grep -c '[.]pid$')))
output=$(sed -n 's/^#SBATCH --output=//p' "$script")
variables=()
for name in ${names//,/ }; do [ -n "${!name+x}" ] && variables+=("$name=${!name}"); done
setsid env -i "${variables[@]}" bash "$script" >> "$output" 2>&1 < /dev/null &
echo $! > "$STAND_IN/$id.pid"
echo "$id"
"""

SQUEUE = """#!/bin/bash
for word in "$@"; do case "$word" in --jobs=*) id="${word#--jobs=}";; esac; done
[ -e "$STAND_IN/deaf" ] && { rm "$STAND_IN/deaf"; echo 'Unable to contact slurm controller' >&2; exit 1; }
if kill -0 "$(cat "$STAND_IN/$id.pid")" 2>/dev/null; then echo RUNNING
elif [ -e "$STAND_IN/$id.state" ]; then cat "$STAND_IN/$id.state"
elif [ -e "$STAND_IN/end" ]; then cat "$STAND_IN/end"
else echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; fi
"""

SCANCEL = """#!/bin/bash
printf '%s\\n' "$*" >> "$STAND_IN/scancel.args"
id="${@: -1}"; pid="$(cat "$STAND_IN/$id.pid")"
case "$*" in
  *--batch*) kill -TERM "$pid";;
  *) kill -KILL -- "-$pid"; echo CANCELLED > "$STAND_IN/$id.state";;
esac
exit 0
"""


class Cluster:
    """A stand-in queue, its settings file and what it was told."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = folder / "launcher.yaml"
        self.asked: list[tuple[str, str, Any, str | None]] = []
        self.write(settings)

    def write(self, settings: dict[str, Any]) -> None:
        """Write the settings file."""
        self.settings.write_text(yaml.safe_dump(settings))

    @property
    def launches(self) -> list[str]:
        """Every start of the program, and the step it went on from."""
        path = self.folder / "launches"
        return [line.split(" ", 1)[1] for line in path.read_text().splitlines()]

    def kill_job(self) -> None:
        """End the newest program without a word."""
        pid = (self.folder / "launches").read_text().splitlines()[-1].split()[0]
        os.kill(int(pid), signal.SIGKILL)


class _Ray(BaseHTTPRequestHandler):
    """The four requests of Ray's job interface."""

    jobs: dict[str, subprocess.Popen[bytes]]
    folder: Path
    asked: list[tuple[str, str, Any, str | None]]
    stopped: set[str]

    def log_message(self, *words: Any) -> None: ...

    def _answer(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        job = self.jobs.get(self.path.rsplit("/", 1)[-1])
        if job is None:
            self._answer({"error": "no such job"}, 404)
            return
        code = job.poll()
        words = {None: "RUNNING", 0: "SUCCEEDED"}
        name = self.path.rsplit("/", 1)[-1]
        ended = "STOPPED" if name in self.stopped else "FAILED"
        told = self.folder / "end"
        said = told.read_text() if code and told.exists() else None
        answer = {"status": words.get(code, ended), "driver_exit_code": code, "message": said}
        self._answer(answer)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(text or b"{}")
        self.asked.append(("POST", self.path, body, self.headers.get("Authorization")))
        if self.path.endswith("/stop"):
            name = self.path.split("/")[-2]
            self.stopped.add(name)
            os.killpg(self.jobs[name].pid, signal.SIGTERM)
            self._answer({"stopped": True})
            return
        env = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
        env |= body["runtime_env"]["env_vars"]
        command = shlex.split(body["entrypoint"])
        self.jobs[body["submission_id"]] = subprocess.Popen(
            command, env=env, start_new_session=True, stdin=subprocess.DEVNULL
        )
        self._answer({"job_id": "02000000", "submission_id": body["submission_id"]})


class _Kubernetes(BaseHTTPRequestHandler):
    """What a client that starts a pod, follows its log and deletes it asks of a cluster."""

    pods: dict[str, subprocess.Popen[bytes]]
    followed: set[str]
    folder: Path

    def log_message(self, *words: Any) -> None: ...

    def _answer(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.podlog"

    def do_POST(self) -> None:
        pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (container,) = pod["spec"]["containers"]
        name = pod["metadata"]["name"]
        env = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
        env |= {e["name"]: e["value"] for e in container["env"]}
        with self._log(name).open("wb") as log:
            self.pods[name] = subprocess.Popen(
                container["command"], env=env, stdout=log, stderr=subprocess.STDOUT
            )
        self._answer(pod, 201)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.endswith("/log"):
            self._follow(path.split("/")[-2])
        elif path.endswith("/pods"):
            name = parse_qs(query)["fieldSelector"][0].partition("=")[2]
            self._answer({"kind": "PodList", "items": self._pods(name)})
        else:
            self._answer({"kind": "EventList", "items": []})

    def _pods(self, name: str) -> list[dict[str, Any]]:
        if name not in self.pods:
            return []
        code = self.pods[name].poll()
        if name in self.followed and (self.folder / "gone").exists():
            return []
        told = self.folder / "end"
        end = json.loads(told.read_text()) if code and told.exists() else {}
        ended = {"exitCode": 128 - (code or 0) if (code or 0) < 0 else code}
        ended["reason"] = end.pop("container", "Error" if code else "Completed")
        state = {"running": {}} if code is None else {"terminated": ended}
        status = {"name": "trainer", "image": "x", "imageID": "x", "restartCount": 0}
        status |= {"state": state, "ready": code is None}
        return [{"metadata": {"name": name}, "status": {"containerStatuses": [status]} | end}]

    def _follow(self, name: str) -> None:
        self.send_response(200)
        self.end_headers()
        with self._log(name).open("rb") as log, contextlib.suppress(BrokenPipeError):
            while True:
                is_over = self.pods[name].poll() is not None
                for line in log.read().splitlines(keepends=True):
                    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                    self.wfile.write(now.encode() + b" " + line)
                self.wfile.flush()
                if is_over:
                    self.followed.add(name)
                    return
                time.sleep(0.02)

    def do_DELETE(self) -> None:
        name = self.path.partition("?")[0].rsplit("/", 1)[-1]
        self.pods[name].terminate()
        if (self.folder / "gone").exists():
            self._answer({"kind": "Status", "reason": "NotFound"}, 404)
            return
        self._answer({"metadata": {"name": name}})


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[Cluster]:
    handler = type("Handler", (_Kubernetes,), {"pods": {}, "followed": set(), "folder": tmp_path})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "kubeconfig").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": address}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )
    yield Cluster(
        tmp_path,
        {
            "kind": "kubernetes",
            "image": "x",
            "volume_claim": "x",
            "mount_path": str(tmp_path),
            "python": sys.executable,
            "env": {"PYTHONPATH": f"{tmp_path}:{PROJECT}"},
            "kubeconfig_file": str(tmp_path / "kubeconfig"),
            "poll_s": 0.05,
        },
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    settings = {"kind": "slurm", "poll_s": 0.05, "pass_env": ["HF_TOKEN"], "grace_s": 20}
    return Cluster(tmp_path, settings)


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    handler = type(
        "Handler", (_Ray,), {"jobs": {}, "asked": [], "stopped": set(), "folder": tmp_path}
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("RAY_TOKEN", "token_of_a_test")
    address = f"http://127.0.0.1:{server.server_address[1]}"
    made = Cluster(
        tmp_path,
        {
            "kind": "ray",
            "address": address,
            "poll_s": 0.05,
            "token_variable": "RAY_TOKEN",
            "grace_s": 20,
        },
    )
    made.asked = handler.asked  # type: ignore[attr-defined]
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def local(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, {"kind": "subprocess"})


@pytest.fixture(params=["slurm", "ray"])
def queue(request: pytest.FixtureRequest) -> Cluster:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["slurm", "ray", "kubernetes", "local"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return request.getfixturevalue(request.param)


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[dg.ExecuteInProcessResult, dg.DagsterInstance]]]:
    """Materialise the asset with a cluster; all runs of a test share an instance."""
    (tmp_path / "rehearsal.py").write_text(PROGRAM)
    (tmp_path / "graph.py").write_text(GRAPH)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{PROJECT}")
    spec = importlib.util.spec_from_file_location("graph", tmp_path / "graph.py")
    assert spec
    assert spec.loader
    graph = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(graph)
    with dg.DagsterInstance.ephemeral() as instance:

        def run(cluster: Cluster, **config: Any) -> Any:
            return graph.make(instance, str(cluster.settings), **config), instance

        yield run


@pytest.fixture
def let_go() -> Iterator[Callable[[Cluster, float], None]]:
    """Let the held program go on, in the background, some seconds after it has begun."""
    threads: list[threading.Thread] = []

    def later(cluster: Cluster, seconds: float) -> None:
        threads.append(threading.Thread(target=_let_go_after, args=(cluster, seconds)))
        threads[-1].start()

    yield later
    for thread in threads:
        thread.join()


def _let_go_after(cluster: Cluster, seconds: float) -> None:
    deadline = time.monotonic() + 60
    script = cluster.folder / "launch" / "job.sh"
    while not (cluster.folder / "count").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    (cluster.folder / "seen.sh").write_text(script.read_text())
    time.sleep(seconds)
    (cluster.folder / "hold").unlink()


class Worker:
    """A run worker of Dagster's: a process of its own that can be stopped or killed."""

    def __init__(self, cluster: Cluster, n: int) -> None:
        self._cluster = cluster
        (cluster.folder / "hold").touch()
        words = [sys.executable, str(cluster.folder / "graph.py"), str(cluster.settings), str(n)]
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        count = cluster.folder / "count"
        while not (count.exists() and count.read_text() == "2"):
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.02)

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait."""
        self.process.send_signal(number)
        self.process.wait(60)
        (self._cluster.folder / "hold").unlink(missing_ok=True)


@pytest.fixture
def worker() -> type[Worker]:
    """Starts a run worker with a program that holds at its second step."""
    return Worker
