"""Kubernetes: a pod started by Dagster's own client, its result read from the pod's log.

The pod sees the storage root as a mounted volume. A run that is stopped deletes its pod, which
gives the trainer ``grace_s`` to write a checkpoint; a retry starts a new pod that goes on from it.
Dagster's client tells of a failed pod no more than its log, and deletes it; so the pod is asked what
became of it before it goes. What the answer means is in :mod:`dagster_project.launching.endings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dagster as dg

from dagster_project.failures import PermanentFailure
from dagster_project.launching.endings import OUT_OF_MEMORY, Ended, exit_status
from dagster_project.launching.listening import Ear, heard
from dagster_project.launching.settings import KubernetesPlace

_VOLUME = "neurogloss-home"


class PodFailed(RuntimeError):
    """A pod that was started ended with an error or was taken away.

    Attributes
    ----------
    ended
        How.
    """

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.detail)
        self.ended = ended


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
        from dagster_k8s.client import DagsterK8sError
        from dagster_k8s.pipes import PipesK8sPodLogsMessageReader
        from kubernetes.client import ApiException
    except ImportError as error:
        raise PermanentFailure(
            "launching in Kubernetes needs the package 'dagster-k8s'; install the extra 'k8s'"
        ) from error
    ends: list[Ended] = []
    client = _asking_client(ends)(
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
        detail = str(error).splitlines()[0].rstrip(":")[:300]
        raise PodFailed(replace(_last(ends), detail=detail)) from error
    except ApiException as error:
        if not (ends and error.status == 404):
            raise
        # the client deletes its pod after all, and stumbles where somebody has done so
        raise PodFailed(replace(_last(ends), detail="the pod is gone")) from error


def _last(ends: Sequence[Ended]) -> Ended:
    return ends[-1] if ends else Ended(None)


def _asking_client(ends: list[Ended]) -> Any:
    """Return Dagster's client as a type that notes how its pod ended before it deletes it."""
    from dagster_k8s import PipesK8sClient
    from dagster_k8s.client import DagsterK8sError

    class Asking(PipesK8sClient):
        @contextmanager
        def consume_pod_logs(
            self, context: Any, client: Any, namespace: str, pod_name: str, **rest: Any
        ) -> Iterator[None]:
            try:
                with super().consume_pod_logs(context, client, namespace, pod_name, **rest):
                    # its log has ended; for a pod that is gone the client would now wait for ever
                    if _pod(client.core_api, namespace, pod_name) is None:
                        raise DagsterK8sError("the pod is gone")
                    yield
            except Exception:
                ends.append(_pod_end(client.core_api, namespace, pod_name))
                raise

    return Asking


def _pod(core_api: Any, namespace: str, name: str) -> Any:
    """Return a pod as the cluster has it, ``None`` where it is gone."""
    pods = core_api.list_namespaced_pod(namespace, field_selector=f"metadata.name={name}").items
    return pods[0] if pods else None


def _pod_end(core_api: Any, namespace: str, name: str) -> Ended:
    """Ask a cluster how a pod ended; nothing is known of one that is gone."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        pod = _pod(core_api, namespace, name)
    except (ApiException, HTTPError):
        pod = None
    if pod is None:
        return Ended(None)
    status = pod.status
    states = [s.state.terminated for s in status.container_statuses or () if s.state]
    ended = next((state for state in states if state), None)
    if ended is None:
        return Ended(None, status.reason or "")
    disruptions = [
        c.reason
        for c in status.conditions or ()
        if c.type == "DisruptionTarget" and c.status == "True"
    ]
    words = [ended.reason] if ended.reason in OUT_OF_MEMORY else disruptions
    words += [word for word in (status.reason, ended.reason) if word]
    return Ended(exit_status(ended.exit_code), words[0] if words else "")
