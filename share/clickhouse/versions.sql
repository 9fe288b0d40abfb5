-- Which versions of Mercurial are in use, and how do they do?
WITH commands AS (
    SELECT
        ResourceAttributes['service.version'] AS hg_version,
        Duration / 1e9 AS seconds,
        StatusCode = 'Error' AS has_failed,
        SpanAttributes['process.owner'] AS user,
        ResourceAttributes['host.name'] AS host
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    hg_version,
    count() AS commands,
    countIf(has_failed) AS failures,
    uniqExact(user) AS users,
    uniqExact(host) AS hosts,
    round(sum(seconds), 3) AS total_seconds,
    round(quantileExactInclusive(0.5)(seconds), 3) AS p50,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95,
    round(quantileExactInclusive(0.99)(seconds), 3) AS p99,
    round(max(seconds), 3) AS longest
FROM commands
GROUP BY hg_version
ORDER BY commands DESC
