-- How many commands were run and how many failed, hour by hour?
WITH commands AS (
    SELECT
        toStartOfHour(Timestamp) AS time,
        Duration / 1e9 AS seconds,
        StatusCode = 'Error' AS has_failed
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    time,
    count() AS commands,
    countIf(has_failed) AS failures,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95
FROM commands
GROUP BY time
ORDER BY time
