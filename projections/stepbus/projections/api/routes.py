"""The table of all endpoints: what is served, checked and documented, each once."""

from http import HTTPStatus

from stepbus.contracts.messages import TaskRequested
from stepbus.contracts.template.check import MAX_DOCUMENT_BYTES
from stepbus.projections.api import mermaid
from stepbus.projections.api.endpoint import JSON, YAML_TYPES, Body, Endpoint
from stepbus.projections.api.handlers import events, health, messages, operations, steps, tasks, templates, workers
from stepbus.projections.api.models import health as h
from stepbus.projections.api.models import messages as q
from stepbus.projections.api.models import steps as s
from stepbus.projections.api.models import tasks as t
from stepbus.projections.api.models import templates as p
from stepbus.projections.api.models import workers as w
from stepbus.projections.api.models.shape import Listing, Reading

OK, CREATED, ACCEPTED = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED
NOT_FOUND, CONFLICT, INVALID = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY

_REASON = Body(t.Reason, is_optional=True)
_DOCUMENT = Body(
    None,
    (JSON, *YAML_TYPES),
    MAX_DOCUMENT_BYTES,
    description="a task template, as JSON or YAML; what is wrong with it is answered with line numbers",
)
_LAST_EVENT_ID = {"Last-Event-ID": "the id of the last event that was seen; what followed it is sent"}
_IDEMPOTENCY_KEY = {"Idempotency-Key": "a repeat with this key is the same task"}
_DRAWING = {mermaid.MEDIA_TYPE: "a flowchart, for format=mermaid"}

TASKS = (
    Endpoint(
        "POST",
        "/v1/tasks",
        "submitTask",
        "Ask for a task: a run of a template",
        operations.submit_task,
        {ACCEPTED: t.Receipt},
        body=Body(TaskRequested),
        refusals=(CONFLICT, INVALID),
        request_headers=_IDEMPOTENCY_KEY,
    ),
    Endpoint(
        "GET",
        "/v1/tasks",
        "listTasks",
        "List tasks",
        tasks.list_tasks,
        {OK: t.TaskPage},
        t.TaskList,
        reads=("tasks",),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}",
        "showTask",
        "Show a task with its execution context",
        tasks.show_task,
        {OK: t.Task},
        Reading,
        reads=("tasks", "steps"),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}/steps",
        "listSteps",
        "List the steps of a task, each with why it is where it is",
        steps.list_steps,
        {OK: s.StepPage},
        s.StepList,
        reads=("tasks", "steps"),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}/steps/{step}",
        "showStep",
        "Show a step with its result, its attempts and what stands in its way",
        steps.show_step,
        {OK: s.StepDetail},
        Reading,
        reads=("tasks", "steps", "attempts"),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}/timeline",
        "showTimeline",
        "List the attempts of a task",
        tasks.show_timeline,
        {OK: t.Timeline},
        Listing,
        reads=("tasks", "attempts"),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}/history",
        "showHistory",
        "List the events of a task",
        tasks.show_history,
        {OK: t.History},
        Listing,
        reads=("tasks", "history"),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}/graph",
        "showTaskGraph",
        "Draw the graph of a task, each step with its state",
        steps.show_graph,
        {OK: s.Graph},
        s.GraphQuestion,
        reads=("tasks", "steps"),
        refusals=(NOT_FOUND,),
        texts=_DRAWING,
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}/events",
        "followTask",
        "Follow a task: its events as they happen",
        events.follow_task,
        {HTTPStatus.NO_CONTENT: None},
        t.Following,
        refusals=(NOT_FOUND,),
        texts={events.MEDIA_TYPE: "the events of the task; each data is a HistoryEvent, each id <position>.<index>"},
        request_headers=_LAST_EVENT_ID,
    ),
)
OPERATIONS = (
    Endpoint(
        "POST",
        "/v1/tasks/{task_id}/cancel",
        "cancelTask",
        "Stop a task",
        operations.cancel_task,
        {OK: t.Receipt},
        body=_REASON,
        refusals=(NOT_FOUND, CONFLICT, INVALID),
    ),
    Endpoint(
        "POST",
        "/v1/tasks/{task_id}/resolve",
        "resolveTask",
        "Declare a task done, whatever its steps say",
        operations.resolve_task,
        {OK: t.Receipt},
        body=_REASON,
        refusals=(NOT_FOUND, CONFLICT, INVALID),
    ),
    Endpoint(
        "POST",
        "/v1/tasks/{task_id}/steps/{step}/retry",
        "retryStep",
        "Give a failed step another attempt, or dispatch now one that waits for its retry",
        operations.retry_step,
        {OK: t.Receipt},
        body=_REASON,
        refusals=(NOT_FOUND, CONFLICT, INVALID),
    ),
    Endpoint(
        "POST",
        "/v1/tasks/{task_id}/steps/{step}/resolve",
        "resolveStep",
        "Declare a step done, with this result",
        operations.resolve_step,
        {OK: t.Receipt},
        body=Body(s.Resolution, is_optional=True),
        refusals=(NOT_FOUND, CONFLICT, INVALID),
    ),
)
TEMPLATES = (
    Endpoint(
        "POST",
        "/v1/templates",
        "registerTemplate",
        "Register a template",
        templates.register_template,
        {CREATED: p.TemplateReceipt, OK: p.TemplateReceipt},
        p.Registration,
        body=_DOCUMENT,
        refusals=(CONFLICT, INVALID),
    ),
    Endpoint(
        "GET",
        "/v1/templates",
        "listTemplates",
        "List templates with their versions",
        templates.list_templates,
        {OK: p.TemplatePage},
        p.TemplateList,
        reads=("templates",),
    ),
    Endpoint(
        "GET",
        "/v1/templates/{namespace}/{name}",
        "showVersions",
        "Show a template with its versions, the highest first",
        templates.show_versions,
        {OK: p.TemplateSummary},
        Reading,
        reads=("templates",),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/templates/{namespace}/{name}/{version}",
        "showTemplate",
        "Show one version of a template",
        templates.show_template,
        {OK: p.Template},
        Reading,
        reads=("templates",),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "GET",
        "/v1/templates/{namespace}/{name}/{version}/graph",
        "showTemplateGraph",
        "Draw the graph of a template",
        templates.show_graph,
        {OK: s.Graph},
        s.GraphQuestion,
        reads=("templates", "steps"),
        refusals=(NOT_FOUND,),
        texts=_DRAWING,
    ),
)
MESSAGES = (
    Endpoint(
        "GET",
        "/v1/quarantine",
        "listQuarantine",
        "List messages that could not be applied",
        messages.list_quarantine,
        {OK: q.QuarantinePage},
        q.QuarantineList,
        reads=("quarantine",),
    ),
    Endpoint(
        "GET",
        "/v1/quarantine/{message_id}",
        "showQuarantined",
        "Show a quarantined message, whole",
        messages.show_quarantined,
        {OK: q.Quarantined},
        Reading,
        reads=("quarantine",),
        refusals=(NOT_FOUND,),
    ),
    Endpoint(
        "POST",
        "/v1/quarantine/{message_id}/resubmit",
        "resubmitMessage",
        "Send a quarantined message through again",
        operations.resubmit_message,
        {OK: q.Resubmission},
        refusals=(NOT_FOUND, CONFLICT, INVALID),
    ),
    Endpoint(
        "GET",
        "/v1/ignored",
        "listIgnored",
        "List answers of workers that changed nothing",
        messages.list_ignored,
        {OK: q.IgnoredPage},
        q.IgnoredList,
        reads=("ignored",),
    ),
)
WORKERS = (
    Endpoint(
        "GET",
        "/v1/workers",
        "listWorkers",
        "List workers by what they have announced",
        workers.list_workers,
        {OK: w.WorkerList},
    ),
)
HEALTH = (
    Endpoint(
        "GET",
        "/v1/health/live",
        "showAlive",
        "Say whether the process answers",
        health.show_alive,
        {OK: h.Alive},
        needs_key=False,
    ),
    Endpoint(
        "GET",
        "/v1/health/ready",
        "showReady",
        "Say whether every part does its work",
        health.show_ready,
        {OK: h.Ready},
    ),
)
ENDPOINTS: tuple[Endpoint, ...] = (*TASKS, *OPERATIONS, *TEMPLATES, *WORKERS, *MESSAGES, *HEALTH)
