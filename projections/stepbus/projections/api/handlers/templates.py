"""Templates: register one, list them, show one."""

from http import HTTPStatus

from starlette.responses import Response

from stepbus.contracts.problems import Refused
from stepbus.contracts.template import check
from stepbus.orchestrator.ports import Denied
from stepbus.projections.api.endpoint import JSON, OPERATOR, POSITION_HEADER, Answer, Call
from stepbus.projections.api.handlers.operations import position_of
from stepbus.projections.api.handlers.steps import drawn
from stepbus.projections.api.models import templates as m
from stepbus.projections.api.refusals import denied, missing, refused
from stepbus.projections.queries import templates as queries
from stepbus.projections.queries.ask import Row
from stepbus.projections.queries.steps import plan_graph


async def register_template(call: Call) -> Answer:
    """Register the template that the body holds."""
    try:
        template = check(call.body, "json" if call.media_type == JSON else "yaml", call.query.environment)
    except Refused as error:
        malformed = any(problem.code.startswith(("json.", "yaml.")) for problem in error.problems)
        status = HTTPStatus.BAD_REQUEST if malformed else HTTPStatus.UNPROCESSABLE_ENTITY
        raise refused(error, status) from error
    done = await call.api.operations.register(template.canonical(), OPERATOR, force=call.query.force)
    if isinstance(done, Denied):
        raise denied(done)
    position = await position_of(call.api, done)
    return Answer(
        m.TemplateReceipt(
            namespace=template.namespace,
            name=template.name,
            version=template.version,
            template_hash=template.hash,
            position=position,
            repeated=done.repeated,
        ),
        HTTPStatus.OK if done.repeated else HTTPStatus.CREATED,
        {
            "Location": f"/v1/templates/{template.namespace}/{template.name}/{template.version}",
            POSITION_HEADER: str(position),
        },
    )


async def list_templates(call: Call) -> Answer:
    """Give a page of templates."""
    query: m.TemplateList = call.query
    named, cursor = await queries.list_templates(call.api.views, query.namespace, query.cursor, query.limit)
    return Answer(m.TemplatePage(templates=tuple(map(_summary, named)), next_cursor=cursor))


async def show_versions(call: Call) -> Answer:
    """Give a template with all its versions."""
    namespace, name = call.path["namespace"], call.path["name"]
    named = await queries.find_versions(call.api.views, namespace, name)
    if named is None:
        raise missing("template.unknown", f"expected a registered template, found {namespace}/{name}")
    return Answer(_summary(named))


async def show_template(call: Call) -> Answer:
    """Give one version of a template."""
    return Answer(m.template_of(await _found_template(call)))


async def show_graph(call: Call) -> Answer | Response:
    """Give the graph of one version of a template."""
    row = await _found_template(call)
    nodes, edges = await plan_graph(call.api.views, row["template_hash"])
    return drawn(call, f"{row['namespace']}/{row['name']} {row['version']}", nodes, edges)


async def _found_template(call: Call) -> Row:
    namespace, name, version = call.path["namespace"], call.path["name"], call.path["version"]
    row = await queries.find_template(call.api.views, namespace, name, version)
    if row is None:
        raise missing("template.unknown", f"expected a registered template, found {namespace}/{name} {version}")
    return row


def _summary(named: queries.Named) -> m.TemplateSummary:
    versions = tuple(map(m.version_of, named.versions))
    return m.TemplateSummary(
        namespace=named.namespace, name=named.name, latest_version=versions[0].version, versions=versions
    )
