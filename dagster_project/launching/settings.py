"""Where trainers run: one strict YAML file, named by ``$NEUROGLOSS_LAUNCHER``.

What may be said here is checked before anything is started. No secret may stand in the file: plain
variables only under ``env``, and the *names* of variables or of Kubernetes secrets for the rest. How
each place is spoken to is in the modules beside this one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(^|_)KEY($|_)", re.IGNORECASE)
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
Variable = Annotated[str, Field(pattern=_VARIABLE)]
Count = Annotated[int, Field(ge=0, le=1024)]


class SettingsError(ValueError):
    """The launch settings cannot be read or hold something that is not allowed."""

    is_retryable = False


class _Place(BaseModel):
    """What every place has.

    Parameters
    ----------
    python
        Interpreter there; default: the one this program runs under.
    processes
        Processes of a vision-language stage, one per GPU; more than one are started by torchrun.
    env
        Plain variables given to the trainer.
    grace_s
        Seconds a stopped trainer is given to write its checkpoint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    python: str = ""
    processes: int = Field(default=1, ge=1, le=64)
    env: dict[Variable, str] = Field(default_factory=dict)
    grace_s: int = Field(default=120, ge=1, le=3600)

    @field_validator("env")
    @classmethod
    def _refuse_secrets(cls, env: dict[str, str]) -> dict[str, str]:
        secret = sorted(name for name in env if _SECRET.search(name))
        if secret:
            raise ValueError(
                f"{', '.join(secret)} looks like a secret and no secret may stand in this file; "
                "name it where the place takes names (pass_env, secrets), or set it on the machine"
            )
        return env


class SubprocessPlace(_Place):
    """A program on this machine."""

    kind: Literal["subprocess"] = "subprocess"


class KubernetesPlace(_Place):
    """A pod, through Dagster's own client (extra ``k8s``).

    Parameters
    ----------
    image
        Image with this project installed; ``python`` defaults to its ``python``.
    namespace, service_account, node_selector
        As Kubernetes has them.
    gpus, cpus, memory_gb
        Asked for and not exceeded; 0 asks for nothing.
    volume_claim, mount_path
        Claim that holds the storage root, and where the root is mounted: the path that
        ``NEUROGLOSS_HOME`` names here.
    secrets
        Kubernetes secrets whose entries become variables.
    kubeconfig_file, kube_context
        Default: the cluster this program runs in, else the user's own configuration.
    poll_s
        Seconds between looks at the pod.
    """

    kind: Literal["kubernetes"]
    image: str = Field(min_length=1)
    namespace: str = "default"
    service_account: str | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    gpus: Count = 1
    cpus: Count = 0
    memory_gb: Count = 0
    volume_claim: str = Field(min_length=1)
    mount_path: str = Field(pattern=r"^/.+")
    secrets: list[str] = Field(default_factory=list)
    kubeconfig_file: str | None = None
    kube_context: str | None = None
    poll_s: float = Field(default=10.0, gt=0, le=600, strict=False)


class SlurmPlace(_Place):
    """A job of a SLURM cluster whose ``sbatch`` this machine has and whose disk it shares.

    Parameters
    ----------
    partition, account, qos
        As SLURM has them; ``None`` leaves the cluster's default.
    gpus, cpus, memory_gb
        Of the one node a job gets; 0 asks for nothing.
    time_limit
        Such as ``08:00:00``. ``grace_s`` before it the trainer is told to stop, and a retry goes on.
    options
        Further options of ``sbatch``, each whole, such as ``--constraint=a100``.
    setup
        Shell lines before the trainer, such as ``module load cuda``.
    pass_env
        Names of variables handed over from this program's environment.
    poll_s
        Seconds between looks at the queue.
    """

    kind: Literal["slurm"]
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gpus: Count = 1
    cpus: Count = 0
    memory_gb: Count = 0
    time_limit: str | None = Field(default=None, pattern=r"^(\d+-)?\d+(:\d{1,2}){0,2}$")
    options: list[Annotated[str, Field(pattern=r"^--[a-z][^\s]*$")]] = Field(default_factory=list)
    setup: list[str] = Field(default_factory=list)
    pass_env: list[Variable] = Field(default_factory=list)
    poll_s: float = Field(default=10.0, gt=0, le=600, strict=False)


class RayPlace(_Place):
    """A job of a Ray cluster, by its HTTP interface; its nodes share this machine's disk.

    Parameters
    ----------
    address
        Of the dashboard, such as ``http://head:8265``.
    gpus, cpus, memory_gb
        Reserved for the job.
    token_variable
        Name of the variable that holds the bearer token, where the cluster asks for one.
    setup
        Shell lines before the trainer.
    poll_s
        Seconds between looks at the job.
    """

    kind: Literal["ray"]
    address: str = Field(pattern=r"^https?://[^/@\s]+(/[^@\s]*)?$")
    gpus: Count = 1
    cpus: Count = 1
    memory_gb: Count = 0
    token_variable: Variable | None = None
    setup: list[str] = Field(default_factory=list)
    poll_s: float = Field(default=5.0, gt=0, le=600, strict=False)


Place = SubprocessPlace | KubernetesPlace | SlurmPlace | RayPlace
_PLACES: TypeAdapter[Place] = TypeAdapter(Annotated[Place, Field(discriminator="kind")])
KINDS = ("subprocess", "kubernetes", "slurm", "ray")
_UNTOLD = ("env", "pass_env", "secrets", "token_variable", "address")
"""Keys whose wrong value may be a secret put there by mistake; no error repeats it."""


def load_place(path: str | Path) -> Place:
    """Read the settings; an empty path means a program on this machine.

    Raises
    ------
    SettingsError
        In one sentence that names every wrong key, its value and what is allowed.
    """
    if not str(path):
        return SubprocessPlace()
    file = Path(path)
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"launch settings {file.name!r} cannot be read ({error.strerror}); NEUROGLOSS_LAUNCHER "
            "must name a YAML file"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"launch settings {file.name!r} are not YAML: {error}") from error
    return parse_place(raw, file.name)


def parse_place(raw: Any, name: str) -> Place:
    """Check launch settings.

    Raises
    ------
    SettingsError
        If a key is unknown or a value is not allowed.
    """
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS:
        found = raw.get("kind") if isinstance(raw, dict) else type(raw).__name__
        raise SettingsError(
            f"launch settings {name!r}: kind is {found!r}; it must be one of {', '.join(KINDS)}"
        )
    try:
        return _PLACES.validate_python(raw)
    except ValidationError as error:
        faults = "; ".join(_fault(e) for e in error.errors())
        raise SettingsError(f"launch settings {name!r}: {faults}") from error


def _fault(error: Any) -> str:
    parts = [str(part) for part in error["loc"] if part not in KINDS]
    key = ".".join(parts)
    if error["type"] == "extra_forbidden":
        return f"key {key!r} is not known; remove it or correct its name"
    given = "" if parts[:1] and parts[0] in _UNTOLD else f" (got {error['input']!r})"
    return f"{key}: {error['msg']}{given}"
