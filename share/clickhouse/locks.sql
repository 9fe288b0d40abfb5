-- Who waited for the lock of a repository, and who held it?
WITH spans AS (
    SELECT
        Duration / 1e9 AS seconds,
        if(SpanAttributes['vcs.repository.name'] != '',
            SpanAttributes['vcs.repository.name'],
            splitByChar('/', SpanAttributes['hg.repository.root'])[-1]
        ) AS repository,
        SpanAttributes['hg.option.lock'] AS lock,
        SpanAttributes['hg.option.holder'] AS holder,
        SpanAttributes['hg.option.holder_command'] AS holder_command,
        StatusCode = 'Error' AS has_given_up
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('lockwait')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    repository,
    lock,
    holder,
    holder_command,
    count() AS waits,
    countIf(has_given_up) AS given_up,
    round(sum(seconds), 3) AS total_seconds,
    round(quantileExactInclusive(0.5)(seconds), 3) AS p50,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95,
    round(quantileExactInclusive(0.99)(seconds), 3) AS p99,
    round(max(seconds), 3) AS longest
FROM spans
GROUP BY repository, lock, holder, holder_command
ORDER BY total_seconds DESC
LIMIT 50
