"""`free_port`: the port is kept for the server that is told of it."""

import socket
import struct
import sys

import pytest

from tests.databases.servers import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a server have a port that is kept")

# Linux 6.3, and no name in Python's socket module: the ports of which one is chosen.
IP_LOCAL_PORT_RANGE = 51


def choosing_from(port, family=socket.AF_INET):
    """Return a socket that may choose this port and no other."""
    made = socket.socket(family)
    try:
        made.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("I", port | port << 16))
    except OSError:
        made.close()
        pytest.skip("before Linux 6.3 no socket can be told which ports to choose from")
    return made


@pytest.mark.parametrize("reuse", [0, 1])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_no_server_that_asks_for_any_port_is_given_it(address, reuse):
    with choosing_from(free_port()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        with pytest.raises(OSError, match="in use"):
            other.bind((address, 0))


def test_no_connection_starts_at_it():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        choosing_from(free_port()) as client,
        pytest.raises(OSError, match="Cannot assign"),
    ):
        client.connect(server.getsockname())


def test_its_server_may_have_it_again_and_again():
    port = free_port()
    for _ in range(2):
        with (
            socket.create_server(("127.0.0.1", port)) as server,
            socket.create_connection(("127.0.0.1", port)),
        ):
            server.accept()[0].close()


def test_two_are_never_the_same():
    assert len({free_port() for _ in range(50)}) == 50
