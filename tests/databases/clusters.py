"""Databases of several servers: Galera's nodes, PostgreSQL's standbys, and a port that leads to one of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from tests.databases.servers import ACCOUNT, MariaDB, PostgreSQL, find, free_port

GALERA = Path("/usr/lib/galera/libgalera_smm.so")


class Node(MariaDB):
    """A MariaDB server of a Galera cluster. Unlike the other servers' `start`, this one does not wait."""

    name = "Galera"
    packages = "mariadb-server galera-4 rsync libmariadb-dev pkg-config"

    @classmethod
    def is_installed(cls) -> bool:
        return super().is_installed() and GALERA.exists() and find("rsync") is not None

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.ports = {name: free_port() for name in ("gcomm", "ist", "sst")}
        super().__init__()

    def create(self) -> None:
        if not self.nodes:
            super().create()
            return
        (self.folder / "data").mkdir()  # filled by the state transfer
        if os.geteuid() == 0:
            shutil.chown(self.folder / "data", ACCOUNT)

    def start(self) -> None:
        self.spawn()

    def command(self) -> tuple[str | Path, ...]:
        others = [f"127.0.0.1:{node.ports['gcomm']}" for node in self.nodes if node is not self and node.process]
        listen = "gmcast.listen_addr=tcp://127.0.0.1:{gcomm};ist.recv_addr=127.0.0.1:{ist}".format(**self.ports)
        return (
            *super().command(),
            *("--wsrep-on=ON", f"--wsrep-provider={GALERA}", f"--wsrep-cluster-address=gcomm://{','.join(others)}"),
            *("--wsrep-cluster-name=jwtauth", f"--wsrep-node-address=127.0.0.1:{self.ports['gcomm']}"),
            *("--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{self.ports['sst']}"),
            *(f"--wsrep-provider-options={listen}", "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2"),
        )

    def answers(self) -> bool:
        return self.asked("SHOW STATUS LIKE 'wsrep_local_state_comment'") == "Synced"

    def asked(self, query: str) -> str | None:
        """Return the last column of the first row of this query, or ``None`` if the server does not answer."""
        try:
            connection = self.connect(connect_timeout=1)
        except Exception:
            return None
        try:
            cursor = connection.cursor()
            cursor.execute(query)
            return cursor.fetchone()[-1]
        except Exception:
            return None
        finally:
            connection.close()

    @property
    def conflicts(self) -> int:
        """Return how many transactions of this node failed because of another node's."""
        names = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return sum(int(self.asked(f"SHOW STATUS LIKE '{name}'") or 0) for name in names)


class Galera:
    """Three nodes, each of which accepts reads and writes."""

    is_installed = Node.is_installed
    packages = Node.packages

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        try:
            for _ in range(3):
                self.nodes.append(Node(self.nodes))
                if len(self.nodes) == 1:  # the others get their state from the first
                    self.nodes[0].wait()
            for node in self.nodes:
                node.wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Galera:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    @property
    def conflicts(self) -> int:
        return sum(node.conflicts for node in self.nodes)


class Standby(PostgreSQL):
    """A server that replays what a primary writes. It may read from another port than the primary's."""

    def __init__(self, primary: PostgreSQL, *, port: int | None = None, options: tuple[str, ...] = ()) -> None:
        self.primary, self.source, self.options = primary, port or primary.port, options
        super().__init__()

    def create(self) -> None:
        basebackup = self.program.with_name("pg_basebackup")
        source = ("-h", "127.0.0.1", "-p", str(self.source), "-U", "jwtauth", "--no-sync")
        self.run(basebackup, "-D", self.folder / "data", *source, "--write-recovery-conf", "--checkpoint=fast")

    def command(self) -> tuple[str | Path, ...]:
        return (*super().command(), *self.options)

    def promote(self) -> None:
        """Make it a primary, as ``pg_ctl promote`` does, with everything it has received."""
        self.run(self.program.with_name("pg_ctl"), "promote", "--wait", "-D", self.folder / "data")

    def has_all(self) -> bool:
        """Return whether it has replayed everything that the primary has written so far."""
        written = self.primary.asked("SELECT pg_current_wal_lsn()")
        return bool(self.asked(f"SELECT pg_last_wal_replay_lsn() >= '{written}'"))


class Replica(Standby):
    """A standby that is an hour behind its primary."""

    def __init__(self, primary: PostgreSQL) -> None:
        super().__init__(primary, options=("-c", "recovery_min_apply_delay=1h"))


class Forwarder:
    """A port that forwards to one server, as a load balancer does that knows which server is up."""

    def __init__(self, target: int) -> None:
        self.target: int | None = target
        self.writers: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = self.call(asyncio.start_server(self.accept, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *error: object) -> None:
        self.call(self.finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def go_to(self, target: int | None) -> None:
        """Cut every connection. Forward new ones to this port, or cut them too if it is ``None``."""
        self.call(self.cut(target))

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def cut(self, target: int | None) -> None:
        self.target = target
        for writer in self.writers:
            writer.transport.abort()

    async def finish(self) -> None:
        self.server.close()
        await self.cut(None)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            if self.target is not None:
                with suppress(OSError):
                    there, back = await asyncio.open_connection("127.0.0.1", self.target)
                    self.writers.add(back)
                    await asyncio.gather(self.pump(reader, back), self.pump(there, writer))
                    self.writers.discard(back)
        finally:
            writer.transport.abort()
            self.writers.discard(writer)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
