-- Requests for wrk. From the environment: METHOD, TARGET and BODY, in which @ORG is one of ORGANIZATIONS copies of
-- "load", @KEY an identity that no other request has, and @EVENTS a list of BATCH events; KEY is the bearer's, COOKIE that
-- of somebody who has signed in.
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init()
  sent = 0
  answers, wrong = 0, 0
  organizations = tonumber(os.getenv("ORGANIZATIONS"))
  batch = tonumber(os.getenv("BATCH"))
  run = os.getenv("RUN")
  method, target, body = os.getenv("METHOD"), os.getenv("TARGET"), os.getenv("BODY")
  math.randomseed(tonumber(os.getenv("SEED")) + number)
  headers = { ["Content-Type"] = "application/json" }
  local cookie = os.getenv("COOKIE")
  if cookie == "" then headers["Authorization"] = "Bearer " .. os.getenv("KEY") else headers["Cookie"] = cookie end
end

local function organization()
  if organizations == 0 then return "load" end
  return "load-" .. math.random(organizations)
end

local function identity()
  return run .. "-" .. number .. "-" .. sent
end

local function events()
  local list = {}
  for each = 1, batch do
    list[each] = '{"meter": "calls", "quantity": "1", "idempotency_key": "' .. identity() .. "-" .. each .. '"}'
  end
  return "[" .. table.concat(list, ", ") .. "]"
end

function request()
  sent = sent + 1
  local text = body:gsub("@ORG", organization):gsub("@KEY", identity)
  if batch > 0 then text = text:gsub("@EVENTS", events) end
  local path = target:gsub("@ORG", organization)
  if method == "GET" then return wrk.format(method, path, headers) end
  return wrk.format(method, path, headers, text)
end

function response(status)
  answers = answers + 1
  if status < 200 or status > 299 then wrong = wrong + 1 end
end

function done(summary, latency)
  local answered, refused, asked = 0, 0, 0
  for _, thread in ipairs(threads) do
    asked = asked + thread:get("sent")
    answered = answered + thread:get("answers")
    refused = refused + thread:get("wrong")
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"sent": %d, "answers": %d, "wrong": %d, "lost": %d, "seconds": %.6f, "median": %.6f, "p99": %.6f}\n',
    asked, answered, refused, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6
  ))
end
