"""A kube configuration for Spawners that are only made, not started: it names a cluster that is never asked."""

from pathlib import Path

CONFIGURATION = """
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:6443"}}]
users: [{name: test, user: {token: none}}]
contexts: [{name: test, context: {cluster: test, user: test, namespace: test}}]
"""


def kube_environment(folder: Path) -> dict[str, str]:
    path = folder / "kubeconfig"
    path.write_text(CONFIGURATION)
    return {"KUBECONFIG": str(path)}
