"""The two store ports on the process recorders of the `eventsourcing` library: what memory, sqlite and postgres share.

```
EventStore  RecorderStore ─┬─ GroupThreads: one       drains what waits, hands it as one group to ─▶ LogRecorder.commit
                           └─ GroupThreads: three     LogRecorder.select_…
ViewStore   ThreadedViews ─┬─ one writing thread      ViewTables.apply, .reset, .create
                           └─ reading threads         ViewTables.query, .checkpoint
```

Whoever brings a database subclasses `LogRecorder` (beside the library's recorder for it) and brings `ViewTables`; both
are plain synchronous code that runs in threads and never meets the event loop.
"""
