"""All families of promises, in the order in which they are tried."""

from stepbus.orchestrator.testing.bus_suite import hearing, opening, publishing, receiving, redelivery, sharing
from stepbus.orchestrator.testing.bus_suite.cases import Family

FAMILIES: tuple[Family, ...] = (
    opening.cases,
    publishing.cases,
    receiving.cases,
    redelivery.cases,
    sharing.cases,
    hearing.cases,
)
