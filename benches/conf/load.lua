-- For wrk: one line of JSON at the end instead of rounded text, and `-- paced MEAN_MS` to wait between requests.
function init(args)
    if args[1] == "paced" then
        local mean = tonumber(args[2])
        -- Spread evenly from half to one and a half, or 64 connections would beat in step.
        delay = function() return math.random(math.floor(mean / 2), math.ceil(mean * 1.5)) end
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\nresult {"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"refused":%d,"socket_errors":%d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        e.status, e.connect + e.read + e.write + e.timeout))
end
