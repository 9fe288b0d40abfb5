-- Which records have never arrived? docs/fleet.md explains the answer.
-- Choose a time that is longer than an outage.
SELECT
    host,
    sink,
    stream,
    max(number) - min(number) + 1 - uniqExact(number) AS missing,
    min(time) AS since,
    max(time) AS latest
FROM (
    SELECT
        ResourceAttributes['host.name'] AS host,
        SpanAttributes['hg.sink.name'] AS sink,
        SpanAttributes['hg.sink.stream'] AS stream,
        toUInt64OrZero(SpanAttributes['hg.sink.number']) AS number,
        Timestamp AS time
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
    UNION ALL
    SELECT
        ResourceAttributes['host.name'],
        LogAttributes['hg.sink.name'],
        LogAttributes['hg.sink.stream'],
        toUInt64OrZero(LogAttributes['hg.sink.number']),
        Timestamp
    FROM otel_logs
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
)
WHERE number > 0
GROUP BY host, sink, stream
HAVING missing > 0
ORDER BY missing DESC
