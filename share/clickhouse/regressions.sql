-- Which commands have become slower or faster from one version to another?
-- Parameters: before and after, the beginnings of versions: 7.1, 7.2.
-- A Mann-Whitney test decides; `p` is corrected for the number of commands.
WITH commands AS (
    SELECT
        SpanAttributes['hg.command'] AS command,
        ResourceAttributes['service.version'] AS hg_version,
        startsWith(hg_version, {after:String}) AS is_after,
        Duration / 1e9 AS seconds,
        StatusCode = 'Error' AS has_failed
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
        AND (
            startsWith(hg_version, {before:String})
            OR startsWith(hg_version, {after:String})
        )
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    command,
    commands_before,
    commands_after,
    round(median_before, 3) AS p50_before,
    round(median_after, 3) AS p50_after,
    round(100 * (median_after / median_before - 1), 1) AS change_percent,
    failures_before,
    failures_after,
    least(1, test.2 * count() OVER ()) AS p
FROM (
    SELECT
        command,
        countIf(NOT is_after) AS commands_before,
        countIf(is_after) AS commands_after,
        quantileExactInclusiveIf(0.5)(seconds, NOT is_after) AS median_before,
        quantileExactInclusiveIf(0.5)(seconds, is_after) AS median_after,
        countIf(has_failed AND NOT is_after) AS failures_before,
        countIf(has_failed AND is_after) AS failures_after,
        mannWhitneyUTest('two-sided')(seconds, toUInt8(is_after)) AS test
    FROM commands
    WHERE command IN (
        SELECT command
        FROM commands
        GROUP BY command
        HAVING countIf(is_after) >= 20 AND countIf(NOT is_after) >= 20
    )
    GROUP BY command
)
WHERE isFinite(test.2)
ORDER BY p, command
