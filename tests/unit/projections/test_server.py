"""The socket that the API listens on."""

import socket

from stepbus.orchestrator.ports import ApiSettings
from stepbus.projections.api import server


def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    with (
        server._listen(ApiSettings(port=0)) as listening,  # noqa: SLF001 - an option of the socket is seen from nowhere else
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
