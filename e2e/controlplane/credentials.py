"""Who may ask the API server, and what it writes down of each: one token user per client."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

MASTERS = "system:masters"
MANAGER = "system:kube-controller-manager"
CLIENTS: Mapping[str, str] = {
    MANAGER: "",
    "bed:kubelet": MASTERS,
    "bed:kubectl": MASTERS,
    "bed:proxy": MASTERS,
    "bed:scenario": MASTERS,
}
"""The group of each user; the manager's own name has its role."""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """The files that the API server is started with, and a token for each client."""

    folder: Path
    tokens: Mapping[str, str]

    @classmethod
    def write(cls, folder: Path) -> "Credentials":
        """Make new tokens and a key for those of service accounts; write all into a folder."""
        tokens = {user: secrets.token_urlsafe(24) for user in CLIENTS}
        made = cls(folder=folder, tokens=tokens)
        lines = [f'{tokens[user]},{user},{user},"{group}"' for user, group in CLIENTS.items()]
        _write_secret(made.token_file, "\n".join(lines).encode() + b"\n")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        _write_secret(made.account_key, private)
        made.audit_policy.write_text(AUDIT_POLICY)
        return made

    @property
    def token_file(self) -> Path:
        """Answer the file of the users and their tokens."""
        return self.folder / "tokens.csv"

    @property
    def account_key(self) -> Path:
        """Answer the key that signs the tokens of service accounts."""
        return self.folder / "account.key"

    @property
    def audit_policy(self) -> Path:
        """Answer the file that says what is written down."""
        return self.folder / "audit-policy.yaml"

    def kubeconfig(self, server: str, authority: Path, user: str, token: str = "") -> Path:
        """Write the kubeconfig of a user.

        Args:
            server: The URL.
            authority: The certificate that vouches for the server.
            user: One of `CLIENTS`, or another with a token of its own.
            token: Of that other.
        """
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        text = f"""\
apiVersion: v1
kind: Config
clusters: [{{name: bed, cluster: {{server: "{server}", certificate-authority: "{authority}"}}}}]
users: [{{name: bed, user: {{token: "{token or self.tokens[user]}"}}}}]
contexts: [{{name: bed, context: {{cluster: bed, user: bed}}}}]
current-context: bed
"""
        _write_secret(path, text.encode())
        return path


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
