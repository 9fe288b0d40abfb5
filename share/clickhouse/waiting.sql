-- What does each person wait for: locks, hooks, other repositories, an
-- editor?
WITH spans AS (
    SELECT
        SpanAttributes['process.owner'] AS user,
        multiIf(
            SpanAttributes['hg.event'] = 'lockwait', 'lock',
            SpanAttributes['hg.event'] = 'peerclose', 'other repository',
            SpanAttributes['hg.event'] = 'userwait',
            SpanAttributes['hg.option.kind'],
            'hook'
        ) AS waits_for,
        if(SpanAttributes['hg.option.wire_time'] != '',
            toFloat64OrZero(SpanAttributes['hg.option.wire_time']),
            Duration / 1e9
        ) AS seconds
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN (
            'lockwait', 'exthook', 'pythonhook', 'peerclose', 'userwait'
        )
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    user,
    waits_for,
    count() AS waits,
    round(sum(seconds), 3) AS total_seconds,
    round(quantileExactInclusive(0.5)(seconds), 3) AS p50,
    round(quantileExactInclusive(0.95)(seconds), 3) AS p95,
    round(quantileExactInclusive(0.99)(seconds), 3) AS p99,
    round(max(seconds), 3) AS longest
FROM spans
GROUP BY user, waits_for
ORDER BY total_seconds DESC
LIMIT 50
