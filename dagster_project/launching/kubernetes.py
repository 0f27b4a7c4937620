"""Kubernetes: a pod started by Dagster's own client, its result read from the pod's log.

The pod sees the storage root as a mounted volume. A run that is stopped deletes its pod, which
gives the trainer ``grace_s`` to write a checkpoint; a retry starts a new pod that goes on from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_project.failures import PermanentFailure
from dagster_project.launching.listening import Ear, heard
from dagster_project.launching.settings import KubernetesPlace

_VOLUME = "neurogloss-home"


class PodFailed(RuntimeError):
    """A pod that was started ended with an error or was taken away."""


def pod_spec(place: KubernetesPlace) -> dict[str, Any]:
    """Return the pod's spec but for image, command and environment, in Kubernetes' own words."""
    asked = {
        "nvidia.com/gpu": str(place.gpus) if place.gpus else "",
        "cpu": str(place.cpus) if place.cpus else "",
        "memory": f"{place.memory_gb}Gi" if place.memory_gb else "",
    }
    limits = {k: v for k, v in asked.items() if v}
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "trainer",
                "resources": {"limits": limits, "requests": limits} if limits else {},
                "volumeMounts": [{"name": _VOLUME, "mountPath": place.mount_path}],
                "envFrom": [{"secretRef": {"name": name}} for name in place.secrets],
            }
        ],
        "volumes": [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": place.volume_claim}}],
        "terminationGracePeriodSeconds": place.grace_s,
        "restartPolicy": "Never",
    }
    if place.service_account:
        spec["serviceAccountName"] = place.service_account
    if place.node_selector:
        spec["nodeSelector"] = dict(place.node_selector)
    return spec


def run_pod(
    place: KubernetesPlace,
    command: Sequence[str],
    env: Mapping[str, str],
    context: dg.AssetExecutionContext,
    ear: Ear,
) -> Any:
    """Run a command in a pod and return the completed invocation.

    Raises
    ------
    PermanentFailure
        If ``dagster-k8s`` is not installed.
    PodFailed
        If the pod was started and did not end well.
    Exception
        What Kubernetes' client raises where the cluster refuses or does not answer.
    """
    try:
        from dagster_k8s import PipesK8sClient
        from dagster_k8s.client import DagsterK8sError
        from dagster_k8s.pipes import PipesK8sPodLogsMessageReader
    except ImportError as error:
        raise PermanentFailure(
            "launching in Kubernetes needs the package 'dagster-k8s'; install the extra 'k8s'"
        ) from error
    client = PipesK8sClient(
        message_reader=heard(PipesK8sPodLogsMessageReader, ear),
        kubeconfig_file=place.kubeconfig_file,
        kube_context=place.kube_context,
        poll_interval=place.poll_s,
    )
    try:
        return client.run(
            context=context,
            image=place.image,
            command=list(command),
            namespace=place.namespace,
            env=dict(env),
            base_pod_meta={"labels": {"app.kubernetes.io/part-of": "neurogloss"}},
            base_pod_spec=pod_spec(place),
            pod_wait_timeout=0,  # a training may take longer than the day Dagster would give it
        )
    except DagsterK8sError as error:
        # its first line says why; the rest quotes the end of the pod's log
        raise PodFailed(str(error).splitlines()[0].rstrip(":")[:300]) from error
