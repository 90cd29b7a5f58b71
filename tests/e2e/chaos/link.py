"""The way between agent and control plane, as a proxy that can be cut or left half-open."""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import Enum


class State(Enum):
    """What the link does with connections."""

    OPEN = "forwards"
    CUT = "resets those that are there and refuses new ones"
    STUCK = "takes connections and bytes, and lets none through"


class Link:
    """Listens on a port of its own and forwards to `port`."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._connections: set[socket.socket] = set()
        self._state = State.OPEN
        self._open = threading.Event()
        self._open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def become(self, state: State) -> None:
        """Change; connections that were stuck are reset rather than woken, as if the peer had gone meanwhile."""
        was, self._state = self._state, state
        if state is State.STUCK:
            self._open.clear()
        if state is State.CUT or was is State.STUCK:
            self._reset()
        if state is not State.STUCK:
            self._open.set()

    def close(self) -> None:
        self._listener.close()
        self.become(State.CUT)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._state is State.CUT:
                    near.close()
                    continue
                threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        self._connections.add(near)
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            self._drop(near)
            return
        far.settimeout(None)
        self._connections.add(far)
        threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
        self._pump(far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                sink.sendall(data)
        self._drop(source)
        self._drop(sink)

    def _drop(self, connection: socket.socket) -> None:
        self._connections.discard(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _reset(self) -> None:
        for connection in list(self._connections):
            self._drop(connection)
