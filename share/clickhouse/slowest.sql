-- Which single commands took longest?
WITH commands AS (
    SELECT
        Timestamp AS started,
        Duration / 1e9 AS seconds,
        SpanAttributes['hg.command'] AS command,
        SpanAttributes['process.owner'] AS user,
        ResourceAttributes['host.name'] AS host,
        if(SpanAttributes['vcs.repository.name'] != '',
            SpanAttributes['vcs.repository.name'],
            splitByChar('/', SpanAttributes['hg.repository.root'])[-1]
        ) AS repository,
        TraceId AS trace
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    started,
    round(seconds, 3) AS seconds,
    command,
    user,
    host,
    repository,
    trace
FROM commands
ORDER BY seconds DESC
LIMIT 20
