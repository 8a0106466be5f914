-- wrk -s wrk.lua URL -- PIPELINE [FILE]: GET, or POST of FILE; prints what it saw as JSON.
local seen = {}

function init(args)
  local batch = tonumber(args[1])
  if args[2] then
    local file = assert(io.open(args[2], "rb"))
    wrk.method, wrk.body = "POST", file:read("*a")
    wrk.headers["Content-Type"] = "application/json"
    file:close()
  end
  if batch > 1 then
    local all = string.rep(wrk.format(), batch)
    request = function() return all end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format(
    '{"answers": %d, "seconds": %.6f, "p50": %d, "p99": %d, "bad": %d, "errors": "%s"}',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), bad,
    string.format("connect %d, read %d, write %d, status %d, timeout %d",
      errors.connect, errors.read, errors.write, errors.status, errors.timeout)))
end
