"""`free_port`: reserves the port for the server that receives it."""

import socket
import struct
import sys

import pytest

from tests.databases.servers import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a server bind a reserved port")

# Linux 6.3, without a name in Python's socket module: the range of ports to choose from.
IP_LOCAL_PORT_RANGE = 51


def choosing_from(port, family=socket.AF_INET):
    """Return a socket that may choose this port and no other."""
    made = socket.socket(family)
    try:
        made.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", port | port << 16))
    except OSError:
        made.close()
        pytest.skip("before Linux 6.3 the range of ports of a socket cannot be set")
    return made


@pytest.mark.parametrize("reuse", [0, 1])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_reserved_port_is_not_given_to_a_server_that_asks_for_any(address, reuse):
    with choosing_from(free_port()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        with pytest.raises(OSError, match="in use"):
            other.bind((address, 0))


def test_no_outgoing_connection_uses_the_reserved_port():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        choosing_from(free_port()) as client,
        pytest.raises(OSError, match="Cannot assign"),
    ):
        client.connect(server.getsockname())


def test_server_can_bind_its_reserved_port_repeatedly():
    port = free_port()
    for _ in range(2):
        with (
            socket.create_server(("127.0.0.1", port)) as server,
            socket.create_connection(("127.0.0.1", port)),
        ):
            server.accept()[0].close()


def test_free_port_returns_different_ports():
    assert len({free_port() for _ in range(50)}) == 50
