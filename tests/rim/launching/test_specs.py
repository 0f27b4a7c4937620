"""What each place is asked for, to the letter, and what its settings may say.

Without postponed annotations, which Dagster cannot read.
"""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dagster_project.launching.jobs import Job
from dagster_project.launching.launcher import Launcher, program
from dagster_project.launching.ray_jobs import RayQueue
from dagster_project.launching.settings import RayPlace, SettingsError, SlurmPlace, parse_place
from dagster_project.launching.slurm import SlurmQueue


def _job(tmp_path: Path, **fields: Any) -> Job:
    return Job(
        "neurogloss-tuned_model-tiny",
        ("/venv/bin/python", "-m", "training", "stage2", "--recipe", "tiny"),
        {"PYTHONPATH": "/project path"},
        tmp_path,
        cwd=Path("/work"),
        **fields,
    )


def test_slurm_job_is_exactly_this(tmp_path: Path) -> None:
    place = parse_place(
        {
            "kind": "slurm",
            "partition": "gpu",
            "account": "lab",
            "gpus": 2,
            "cpus": 16,
            "memory_gb": 96,
            "time_limit": "08:00:00",
            "options": ["--constraint=a100"],
            "pass_env": ["HF_TOKEN"],
        },
        "x",
    )
    assert isinstance(place, SlurmPlace)
    slurm, job = SlurmQueue(place), _job(tmp_path, setup=("module load cuda",))
    assert slurm.command(job) == [
        "sbatch",
        "--parsable",
        "--export=HOME,PATH,USER,LANG,HF_TOKEN",
        f"{tmp_path}/job.sh",
    ]
    assert job.script({"DAGSTER_PIPES_CONTEXT": "abc"}, slurm.directives(job)).splitlines() == [
        "#!/bin/bash",
        "#SBATCH --job-name=neurogloss-tuned_model-tiny",
        f"#SBATCH --output={tmp_path}/output.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --nodes=1",
        "#SBATCH --partition=gpu",
        "#SBATCH --account=lab",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --cpus-per-task=16",
        "#SBATCH --mem=96G",
        "#SBATCH --time=08:00:00",
        "#SBATCH --signal=B:TERM@120",
        "#SBATCH --no-requeue",
        "#SBATCH --constraint=a100",
        "export DAGSTER_PIPES_CONTEXT=abc",
        "export PYTHONPATH='/project path'",
        "cd /work || exit",
        "module load cuda",
        "child=",
        'trap \'test -n "$child" && kill -TERM "$child"\' TERM',
        "/venv/bin/python -m training stage2 --recipe tiny &",
        "child=$!",
        'wait "$child"; status=$?',
        'while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done',
        f'echo "$status" > {tmp_path}/status.part && mv {tmp_path}/status.part {tmp_path}/status',
        'exit "$status"',
    ]


def test_ray_job_is_exactly_this(tmp_path: Path) -> None:
    place = parse_place(
        {"kind": "ray", "address": "http://head:8265", "gpus": 1, "cpus": 8, "memory_gb": 64}, "x"
    )
    assert isinstance(place, RayPlace)
    assert RayQueue(place).request(_job(tmp_path), "id-1") == {
        "entrypoint": f"bash {tmp_path}/job.sh",
        "submission_id": "id-1",
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "120"}},
        "metadata": {"name": "neurogloss-tuned_model-tiny"},
        "entrypoint_num_gpus": 1,
        "entrypoint_num_cpus": 8,
        "entrypoint_memory": 64 * 2**30,
    }


POD = {
    "kind": "kubernetes",
    "image": "lab/neurogloss:7",
    "namespace": "eeg",
    "volume_claim": "home",
    "mount_path": "/home/neurogloss",
    "gpus": 1,
    "cpus": 8,
    "memory_gb": 64,
    "secrets": ["hub"],
    "service_account": "trainer",
    "node_selector": {"gpu": "h200"},
    "poll_s": 0.05,
    "grace_s": 300,
    "processes": 2,
}


class _Api(BaseHTTPRequestHandler):
    """A Kubernetes server that notes what it is asked and has no room for pods."""

    asked: list[tuple[str, Any]]

    def log_message(self, *words: Any) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        answer = json.dumps({"kind": "Status", "reason": "Forbidden", "message": "quota"}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[tuple[Path, list[tuple[str, Any]]]]:
    """A kubeconfig that leads to a server on a socket, and what that was asked."""
    handler = type("Handler", (_Api,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
        ],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield path, handler.asked  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_pod_is_exactly_this(kubernetes: Any, tmp_path: Path) -> None:
    kubeconfig, asked = kubernetes
    settings = tmp_path / "launcher.yaml"
    here = {"kubeconfig_file": str(kubeconfig), "mount_path": str(tmp_path)}
    settings.write_text(yaml.safe_dump(POD | here))

    @dg.asset
    def tuned_model(context: dg.AssetExecutionContext, launcher: Launcher) -> Any:
        words = ["stage2", "--recipe", "tiny"]
        return launcher.run(context, "training", words, tmp_path, is_spread=True)

    resources = {"launcher": Launcher(settings_file=str(settings))}
    outcome = dg.materialize([tuned_model], resources=resources, raise_on_error=False)
    assert not outcome.success
    settings.write_text(yaml.safe_dump(POD | here | {"mount_path": "/elsewhere"}))
    with pytest.raises(
        dg.Failure, match=r"mount_path '/elsewhere'.*does not hold the storage root"
    ):
        dg.materialize([tuned_model], resources=resources)
    ((path, body),) = asked
    assert path == "/api/v1/namespaces/eeg/pods"
    assert body["metadata"]["labels"]["app.kubernetes.io/part-of"] == "neurogloss"
    (container,) = body["spec"].pop("containers")
    env = {e["name"]: e["value"] for e in container.pop("env")}
    assert env.keys() == {
        "DAGSTER_PIPES_CONTEXT",
        "DAGSTER_PIPES_MESSAGES",
        "HF_HUB_DISABLE_TELEMETRY",
        "YOLO_OFFLINE",
    }
    command = "python -m torch.distributed.run --standalone --nproc-per-node=2 -m training"
    asked_for = {"nvidia.com/gpu": "1", "cpu": "8", "memory": "64Gi"}
    assert container == {
        "name": "trainer",
        "image": "lab/neurogloss:7",
        "command": [*command.split(), "stage2", "--recipe", "tiny"],
        "resources": {"limits": asked_for, "requests": asked_for},
        "volumeMounts": [{"name": "neurogloss-home", "mountPath": str(tmp_path)}],
        "envFrom": [{"secretRef": {"name": "hub"}}],
    }
    assert body["spec"] == {
        "volumes": [{"name": "neurogloss-home", "persistentVolumeClaim": {"claimName": "home"}}],
        "terminationGracePeriodSeconds": 300,
        "restartPolicy": "Never",
        "serviceAccountName": "trainer",
        "nodeSelector": {"gpu": "h200"},
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "condor"}, "kind is 'condor'; it must be one of subprocess, kubernetes"),
        (["slurm"], "kind is 'list'"),
        ({"kind": "slurm", "partitoin": "gpu"}, "key 'partitoin' is not known"),
        ({"kind": "slurm", "gpus": "two"}, "gpus: .*valid integer.*got 'two'"),
        ({"kind": "slurm", "time_limit": "a day"}, "time_limit: "),
        ({"kind": "slurm", "options": ["rm -rf"]}, "options.0: "),
        ({"kind": "ray", "address": "http://user:hf_1@head"}, "address: "),
        ({"kind": "ray", "address": "http://head", "token_variable": "hf_1-2"}, "token_variable: "),
        ({"kind": "slurm", "pass_env": ["HF_TOKEN=hf_1"]}, "pass_env.0: "),
        ({"kind": "ray"}, "address: Field required"),
        ({"kind": "kubernetes", "image": "x", "mount_path": "/x"}, "volume_claim: Field required"),
        ({"kind": "subprocess", "env": {"HF_TOKEN": "hf_1"}}, "HF_TOKEN looks like a secret"),
        ({"kind": "subprocess", "env": {"API_KEY": "k_1"}}, "API_KEY looks like a secret"),
        ({"kind": "subprocess", "processes": 0}, "processes: .*greater than or equal to 1"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence_without_secrets(settings: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        parse_place(settings, "launcher.yaml")
    assert "hf_1" not in str(caught.value)
    assert "k_1" not in str(caught.value)


def test_settings_are_found_by_variable_and_default_to_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROGLOSS_LAUNCHER", raising=False)
    here = Launcher().place()
    assert here.kind == "subprocess"
    words = program(here, "training", ["stage1"], is_spread=True)
    assert words == (sys.executable, "-m", "training", "stage1")
    path = tmp_path / "there.yaml"
    path.write_text("kind: slurm\nprocesses: 4\npython: /venv/bin/python\n")
    monkeypatch.setenv("NEUROGLOSS_LAUNCHER", str(path))
    there = Launcher().place()
    runner = "/venv/bin/python -m torch.distributed.run --standalone --nproc-per-node=4 -m training"
    assert " ".join(program(there, "training", [], is_spread=True)) == runner
    assert "distributed" not in " ".join(program(there, "training.waveform", [], is_spread=False))
    monkeypatch.setenv("NEUROGLOSS_LAUNCHER", str(tmp_path / "none.yaml"))
    with pytest.raises(SettingsError, match=r"'none.yaml' cannot be read"):
        Launcher().place()
