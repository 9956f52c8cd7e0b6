"""A model as a process: loads model_dir/code/inference.py, answers GET /ping and POST /invocations on a unix socket.

Run as a child of the local AWS: python -m shadow_provider.local.serving.model_server. Only the standard library is
imported before the model's own code is.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path

from shadow_provider.local.serving.inference_handler import InferenceHandler, ModelAnswer

_REASONS = {200: "OK", 404: "Not Found", 415: "Unsupported Media Type", 500: "Internal Server Error"}
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Loads the model, then serves until the parent is gone or asks to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args()
    die_with_parent(options.parent)
    if options.nice:
        os.nice(options.nice)
    handler = InferenceHandler(options.model_dir)
    handler.load()
    serve(options.socket, handler)


def die_with_parent(parent: int) -> None:
    """Ties this process's life to its parent's, whatever way the parent ends.

    Linux sends SIGKILL when the parent dies. Everywhere, stdin is a pipe from the parent: its end means the parent is
    gone. Stdin itself is replaced so that model code cannot take that end away.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    lifeline = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def watch() -> None:
        while os.read(lifeline, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def serve(path: str, handler: InferenceHandler) -> None:
    """Answers connections on the socket, each in a thread; the model itself runs as often at once as it has workers."""
    workers = threading.BoundedSemaphore(max(1, int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(256)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, handler, workers), daemon=True).start()


def _converse(connection: socket.socket, handler: InferenceHandler, workers: threading.BoundedSemaphore) -> None:
    with connection, io.BufferedReader(socket.SocketIO(connection, "r"), 1 << 16) as stream:
        try:
            while (request := _read(stream)) is not None:
                method, target, headers, body = request
                answer = _answer(handler, workers, method, target, headers, body)
                connection.sendall(_encode(answer))
        except OSError:
            return  # The caller gave up on this connection; its next request comes on another one.


def _read(stream: io.BufferedIOBase) -> tuple[str, str, dict[str, str], bytes] | None:
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return method, target, headers, stream.read(int(headers.get("content-length", 0)))


def _answer(
    handler: InferenceHandler,
    workers: threading.BoundedSemaphore,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
) -> ModelAnswer:
    if (method, target) == ("GET", "/ping"):
        return ModelAnswer(200, b"")
    if (method, target) != ("POST", "/invocations"):
        return ModelAnswer(404, b"")
    with workers:
        try:
            return handler.invoke(body, headers)
        except Exception as error:
            trace = traceback.format_exc()
            print(trace, file=sys.stderr, flush=True)  # noqa: T201 - stderr is the model's log
            status = getattr(error, "status_code", 500)
            known = isinstance(status, int) and 400 <= status <= 599
            return ModelAnswer(status if known else 500, f"{error}\n{trace}".encode(), "text/plain")


def _encode(answer: ModelAnswer) -> bytes:
    head = f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}\r\nContent-Length: {len(answer.body)}\r\n"
    if answer.content_type:
        head += f"Content-Type: {answer.content_type}\r\n"
    for name, value in answer.headers.items():
        head += f"{name}: {value}\r\n"
    return head.encode("latin-1", "replace") + b"\r\n" + answer.body


if __name__ == "__main__":
    main()
