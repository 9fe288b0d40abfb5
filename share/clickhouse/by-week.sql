-- How has one command become, week by week? Is its 95th percentile of
-- this week above that of the last one?
-- Parameter: command, such as pull.
WITH commands AS (
    SELECT
        toMonday(Timestamp) AS week,
        SpanAttributes['hg.command'] AS command,
        Duration / 1e9 AS seconds,
        StatusCode = 'Error' AS has_failed
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    week,
    count() AS commands,
    countIf(has_failed) AS failures,
    round(sum(seconds), 3) AS total_seconds,
    round(quantileExactInclusive(0.5)(seconds), 3) AS p50,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95,
    round(quantileExactInclusive(0.99)(seconds), 3) AS p99,
    round(max(seconds), 3) AS longest
FROM commands
WHERE command = {command:String}
GROUP BY week
ORDER BY week
