-- Which commands take the time of people and machines?
-- The one that takes the most in all comes first.
WITH commands AS (
    SELECT
        SpanAttributes['hg.command'] AS command,
        Duration / 1e9 AS seconds,
        StatusCode = 'Error' AS has_failed
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    command,
    count() AS commands,
    countIf(has_failed) AS failures,
    round(sum(seconds), 3) AS total_seconds,
    round(quantileExactInclusive(0.5)(seconds), 3) AS p50,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95,
    round(quantileExactInclusive(0.99)(seconds), 3) AS p99,
    round(max(seconds), 3) AS longest
FROM commands
GROUP BY command
ORDER BY total_seconds DESC
LIMIT 50
