-- What happened in one trace: the CI job, its commands, their hooks and what
-- these ran?
-- Parameter: trace, its id. `from` and `to` keep the search short.
SELECT
    Timestamp AS started,
    round(Duration / 1e9, 3) AS seconds,
    SpanName AS span,
    StatusCode AS status,
    StatusMessage AS reason,
    ResourceAttributes['host.name'] AS host,
    SpanId AS id,
    ParentSpanId AS parent
FROM otel_traces
WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
    AND TraceId = {trace:String}
ORDER BY started, Duration DESC
LIMIT 1 BY SpanId
