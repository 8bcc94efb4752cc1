"""Real servers on this machine that results are shared by: an S3-compatible one (moto's) and OpenSSH's."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

INSTALL = "`make test-team` installs it"


@dataclass(frozen=True, kw_only=True)
class Remote:
    """What a colleague is told: the commands of docs/howto/share.md, and how to prove who they are."""

    setup: str
    environment: dict[str, str] = field(default_factory=dict)
    spoil: str = ""  # the command that sets a wrong key, where it is no variable
    stored: Path | None = None  # the folder behind it, where it has one
    count: Callable[[], int] = int  # objects that it has


def folder(where: Path) -> Iterator[Remote]:
    (where / "team").mkdir()
    stored = where / "team"
    yield Remote(setup=f"dvc remote add --local --default team {stored}\n", stored=stored, count=lambda: _files(stored))


def s3(where: Path) -> Iterator[Remote]:
    """It knows one key; another is refused."""
    if find_spec("moto") is None or find_spec("dvc_s3") is None:
        pytest.skip(f"moto's server or dvc-s3 is not installed: {INSTALL}")
    import boto3

    port, unchecked = _port(), 4  # calls that need no key: the four that make the bucket and the key
    serve = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with _running(serve, port, where / "s3.log", INITIAL_NO_AUTH_ACTION_COUNT=str(unchecked)):
        address = f"http://127.0.0.1:{port}"
        given = {"endpoint_url": address, "region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        iam = boto3.client("iam", **given)
        boto3.client("s3", **given).create_bucket(Bucket="bucket")
        iam.create_user(UserName="team")
        allow = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
        iam.put_user_policy(UserName="team", PolicyName="all", PolicyDocument=allow)
        key = iam.create_access_key(UserName="team")["AccessKey"]
        secret = given | {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        yield Remote(
            setup=f"dvc remote add --local --default bucket s3://bucket/relume\n"
            f"dvc remote modify --local bucket endpointurl {address}\n"
            + "".join(f"dvc remote modify --local bucket {kind}_timeout 300\n" for kind in ("connect", "read")),  # it is slow
            count=lambda: len(list(boto3.resource("s3", **secret).Bucket("bucket").objects.all())),
            environment={
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        )


def ssh(where: Path) -> Iterator[Remote]:
    """It lets in one key."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if sshd is None or find_spec("dvc_ssh") is None:
        pytest.skip(f"sshd (Debian: openssh-server) or dvc-ssh is not installed: {INSTALL}")
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where / name], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    port = _port()
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": where / "host",
        "AuthorizedKeysFile": where / "key.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "Subsystem": "sftp internal-sftp",
    }
    (where / "sshd.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    with _running([sshd, "-D", "-e", "-f", str(where / "sshd.conf")], port, where / "sshd.log"):
        yield Remote(
            setup=f"dvc remote add --local --default server ssh://{getpass.getuser()}@127.0.0.1:{port}{where}/stored\n"
            f"dvc remote modify --local server keyfile {where}/key\n",
            spoil=f"dvc remote modify --local server keyfile {where}/other\n",
            stored=where / "stored",
            count=lambda: _files(where / "stored"),
        )


KINDS = {"folder": folder, "s3": s3, "ssh": ssh}


def _files(where: Path) -> int:
    return sum(1 for path in where.rglob("*") if path.is_file())


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, log: Path, **environment: str) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment)
    try:
        for _ in range(300):
            with socket.socket() as call:
                if call.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()
