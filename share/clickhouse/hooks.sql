-- Which hooks refuse commands, and which take long?
WITH spans AS (
    SELECT
        SpanAttributes['hg.hook.name'] AS hook,
        Duration / 1e9 AS seconds,
        StatusCode = 'Error' AS has_refused
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('exthook', 'pythonhook')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    hook,
    count() AS runs,
    countIf(has_refused) AS refusals,
    round(sum(seconds), 3) AS total_seconds,
    round(quantileExactInclusive(0.5)(seconds), 3) AS p50,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95,
    round(quantileExactInclusive(0.99)(seconds), 3) AS p99,
    round(max(seconds), 3) AS longest
FROM spans
GROUP BY hook
ORDER BY refusals DESC, total_seconds DESC
LIMIT 50
