"""All families of promises, in the order in which they are tried."""

from stepbus.orchestrator.testing.bus_suite import (
    hearing,
    leaving,
    limits,
    naming,
    opening,
    ordering,
    poison,
    publishing,
    receiving,
    redelivery,
    sharing,
)
from stepbus.orchestrator.testing.bus_suite.cases import Family

FAMILIES: tuple[Family, ...] = (
    opening.cases,
    publishing.cases,
    limits.cases,
    naming.cases,
    receiving.cases,
    ordering.cases,
    poison.cases,
    redelivery.cases,
    sharing.cases,
    hearing.cases,
    leaving.cases,
)
