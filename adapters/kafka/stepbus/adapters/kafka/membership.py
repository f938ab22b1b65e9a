"""Ending the membership of a process that is gone, before its session ends by itself.

A broker takes a silent member of a group for alive for 6 s at least. The leases of coordinators say it sooner: whoever
reads on in a partition of the results finds there who read it before and did not sign off.
"""

import logging

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.errors import for_code  # type: ignore[import-untyped]
from aiokafka.protocol.group import LeaveGroupRequest  # type: ignore[import-untyped]

from stepbus.adapters.kafka.connection import FAILURES

_log = logging.getLogger(__name__)


async def end_membership(admin: AIOKafkaAdminClient, group: str, name: str) -> None:
    """Let the consumers of the bus of this name leave a group; one that lives all the same joins it again.

    Nothing depends on it: where it fails, the member's session ends it later.
    """
    try:
        node = await admin.find_coordinator(group)
        (described,) = await admin.describe_consumer_groups([group], node)
        for member_id, client_id, *_ in described.groups[0][5]:
            if client_id.endswith(f"-{name}"):
                _log.warning("%s is gone and leaves the group %s", client_id, group)
                answer = await admin._client.send(node, LeaveGroupRequest(group, member_id))  # noqa: SLF001
                if answer.error_code:
                    raise for_code(answer.error_code)(f"{member_id} does not leave")
    except FAILURES as error:
        _log.debug("%s stays in %s until its session ends: %r", name, group, error)
