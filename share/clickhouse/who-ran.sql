-- Who ran a command?
-- Parameter: command, its full name, such as strip.
WITH commands AS (
    SELECT
        Timestamp AS started,
        SpanAttributes['hg.command'] AS command,
        SpanAttributes['process.owner'] AS user,
        ResourceAttributes['host.name'] AS host,
        if(SpanAttributes['vcs.repository.name'] != '',
            SpanAttributes['vcs.repository.name'],
            splitByChar('/', SpanAttributes['hg.repository.root'])[-1]
        ) AS repository,
        SpanAttributes['process.command_args'] AS words,
        -- The Collector writes a list of texts, rotel one of typed values.
        arrayStringConcat(
            if(startsWith(words, '['),
                JSONExtract(words, 'Array(String)'),
                arrayMap(
                    word -> JSONExtractString(word, 'stringValue'),
                    JSONExtractArrayRaw(words, 'values')
                )
            ),
            ' '
        ) AS command_line,
        SpanAttributes['process.exit.code'] AS exit_status,
        TraceId AS trace
    FROM otel_traces
    WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
        AND SpanAttributes['hg.event'] IN ('commandfinish', 'commandlost')
    LIMIT 1 BY TraceId, SpanId
)
SELECT started, user, host, repository, command_line, exit_status, trace
FROM commands
WHERE command = {command:String}
ORDER BY started DESC
LIMIT 100
