-- What fails, and why?
WITH commands AS (
    SELECT
        Timestamp AS started,
        SpanAttributes['hg.command'] AS command,
        StatusCode = 'Error' AS has_failed,
        SpanAttributes['process.owner'] AS user,
        SpanAttributes['error.type'] AS error_type,
        StatusMessage AS reason
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    command,
    error_type,
    reason,
    count() AS failures,
    uniqExact(user) AS users,
    max(started) AS latest
FROM commands
WHERE has_failed
GROUP BY command, error_type, reason
ORDER BY failures DESC, latest DESC
LIMIT 50
