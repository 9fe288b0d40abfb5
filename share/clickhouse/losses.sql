-- Which machines report that they have lost events or records?
-- Alert if there is any row. docs/fleet.md tells what to do for each cause.
SELECT
    ResourceAttributes['host.name'] AS host,
    LogAttributes['hg.loss.sink'] AS sink,
    sum(toUInt64OrZero(LogAttributes['hg.loss.evicted'])) AS evicted,
    sum(toUInt64OrZero(LogAttributes['hg.loss.rejected'])) AS rejected,
    sum(toUInt64OrZero(LogAttributes['hg.loss.damaged'])) AS damaged,
    sum(toUInt64OrZero(LogAttributes['hg.loss.undelivered'])) AS undelivered,
    sum(toUInt64OrZero(LogAttributes['hg.loss.events_lost'])) AS events_lost,
    sum(toUInt64OrZero(LogAttributes['hg.loss.total'])) AS total,
    min(LogAttributes['hg.loss.since']) AS since
FROM (
    SELECT *
    FROM otel_logs
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND LogAttributes['hg.event'] = 'uilogloss'
    LIMIT 1 BY LogAttributes['log.record.uid']
)
GROUP BY host, sink
HAVING total > 0
ORDER BY total DESC
