-- One load, told by the arguments after `--`:
--   METHOD PATH BODY [FIRST COUNT STRIDE BASE THREADS]
-- With numbers, the `%d` (or `%07d`) of PATH is another one for each request: the
-- sequence FIRST, FIRST + 1, ... scattered over COUNT numbers from BASE on, none
-- of them twice within COUNT requests, whichever thread sends them.

local threads = {}

function setup(thread)
   thread:set("place", #threads)
   threads[#threads + 1] = thread
end

sent = 0

function init(args)
   wrk.method, wrk.path = args[1], args[2]
   if args[3] ~= "" then
      wrk.body = args[3]
      wrk.headers["Content-Type"] = "application/json"
   end
   if args[4] == nil then
      return
   end
   local first, count = tonumber(args[4]), tonumber(args[5])
   local stride, base, steps = tonumber(args[6]), tonumber(args[7]), tonumber(args[8])
   local whole = wrk.format()
   local from, to = whole:find("%%%d*d")
   local head, digits, tail = whole:sub(1, from - 1), whole:sub(from, to), whole:sub(to + 1)
   request = function()
      local turn = first + sent * steps + place
      sent = sent + 1
      return head .. digits:format(turn * stride % count + base) .. tail
   end
end

function done(summary, latency)
   local most = 0
   for _, thread in ipairs(threads) do
      most = math.max(most, thread:get("sent"))
   end
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"turns":%d,' ..
      '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
      summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), most * #threads,
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
