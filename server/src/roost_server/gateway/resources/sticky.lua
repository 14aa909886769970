-- Which version of an endpoint a session belongs to. Runs for requests that name a session (or a version) alone.
--
-- Every worker of Envoy has this script, and with it what it remembers, for itself. Where one version serves alone,
-- sessions are only noted with it, and the server is told without waiting. Where versions share the traffic, what is
-- known from the server counts for this turn; a turn ends after an hour or so many sessions. What was known before, was
-- noted, or had to be decided without the server, is told to the server as a guess when it is asked (again), and counts
-- when it does not answer. A failure never fails a request: without a version the weights decide.
--
-- PATIENCE_MS, how long a request waits for an answer, is put in front of this text. For what is only told nobody waits,
-- so a server that is busy is given longer.

local VERSION_HEADER = "x-roost-version"
local SESSION_HEADERS = { "x-roost-session-id", "x-greennode-agentbase-session-id" }
local CLUSTER = "roost_sessions"
local TELL_MS = 5000
local SESSION_MAX = 256
local TURN_SESSIONS = 20000
local TURN_MS = 3600000
local TOLD_A_SECOND = 200
local POOLS_MAX = 5000

-- What was put in during this turn is in `now`, what was during the last one in `before`.
local function memory()
  return { now = {}, before = {}, sessions = 0, turned_at = 0 }
end

local known, noted = memory(), memory()

local telling_in, telling = 0, 0

local pools_read, pools_count = {}, 0

local function turn_over(of, at)
  if of.sessions >= TURN_SESSIONS or at - of.turned_at > TURN_MS then
    of.now, of.before = {}, of.now
    of.sessions, of.turned_at = 0, at
  end
end

local function keep(of, turn, key, version)
  if of[turn][key] == nil then
    of.sessions = of.sessions + 1
  end
  of[turn][key] = version
end

-- What the virtual host tells in one text (that is quicker to get than three): the endpoint, percent by version, and who
-- keeps sessions. Read once for each text: versions in ascending order, which of them serve at all, which does alone.
local function read_pools(text)
  local pools = pools_read[text]
  if pools == nil then
    pools = { versions = {}, percents = {}, total = 0, serves = {} }
    pools.endpoint, pools.weights, pools.keeps = text:match("^([^;]*);([^;]*);([^;]*)$")
    for version, percent in pools.weights:gmatch("(%d+):(%d+)") do
      pools.versions[#pools.versions + 1] = version
      pools.percents[version] = tonumber(percent)
      pools.total = pools.total + tonumber(percent)
      pools.serves[version] = true
    end
    for version in pools.keeps:gmatch("%d+") do
      pools.serves[version] = true
    end
    local first = pools.versions[1]
    if first and next(pools.serves, next(pools.serves)) == nil then
      pools.alone = first
    end
    if pools_count >= POOLS_MAX then
      pools_read, pools_count = {}, 0
    end
    pools_read[text], pools_count = pools, pools_count + 1
  end
  return pools
end

-- As domain/sessions.py has it: Jenkins' one-at-a-time over the session, then its place among the weights.
local function choose(session, pools)
  local bits, state = bit, 0
  for at = 1, #session do
    state = bits.tobit(state + session:byte(at))
    state = bits.tobit(state + bits.lshift(state, 10))
    state = bits.bxor(state, bits.rshift(state, 6))
  end
  state = bits.tobit(state + bits.lshift(state, 3))
  state = bits.bxor(state, bits.rshift(state, 11))
  state = bits.tobit(state + bits.lshift(state, 15))
  local place = math.floor(state % 4294967296 * pools.total / 4294967296)
  for _, version in ipairs(pools.versions) do
    place = place - pools.percents[version]
    if place < 0 then
      return version
    end
  end
  return nil
end

local function post(handle, path, session, asynchronous)
  return handle:httpCall(
    CLUSTER,
    { [":method"] = "POST", [":path"] = path, [":authority"] = CLUSTER },
    session,
    asynchronous and TELL_MS or PATIENCE_MS,
    asynchronous
  )
end

local function ask(handle, session, pools, guess)
  local path = "/" .. pools.endpoint .. "?weights=" .. pools.weights .. "&keeps=" .. pools.keeps
  if guess then
    path = path .. "&guess=" .. guess
  end
  local headers, body = post(handle, path, session, false)
  return headers[":status"] == "200" and body or nil
end

local function may_tell(at)
  local second = math.floor(at / 1000)
  if second ~= telling_in then
    telling_in, telling = second, 0
  end
  telling = telling + 1
  return telling <= TOLD_A_SECOND
end

-- Told again each turn, so that a server that was started anew learns it too; what may not be told now is told with the
-- session's next request. That the session was known with another version is no longer so: when its endpoint's traffic
-- is shared again the server decides what counts.
local function note(handle, session, pools)
  local version = pools.alone
  local key, at = pools.endpoint .. session, handle:timestamp()
  turn_over(noted, at)
  if noted.now[key] == version then
    return
  end
  known.now[key], known.before[key], noted.now[key] = nil, nil, nil
  if may_tell(at) then
    keep(noted, "now", key, version)
    post(handle, "/" .. pools.endpoint .. "?serves=" .. version, session, true)
  else
    keep(noted, "before", key, version)
  end
end

local function guess_of(key, pools)
  for _, remembered in ipairs({ known.now, known.before, noted.now, noted.before }) do
    if pools.serves[remembered[key]] then
      return remembered[key]
    end
  end
  return nil
end

local function version_of(handle, session, pools)
  local key = pools.endpoint .. session
  turn_over(known, handle:timestamp())
  local version = known.now[key]
  if version and pools.serves[version] then
    return version
  end
  local guess = guess_of(key, pools)
  version = ask(handle, session, pools, guess)
  if version and pools.serves[version] then
    keep(known, "now", key, version)
    return version
  end
  version = guess or choose(session, pools)
  if version then
    keep(known, "before", key, version)
  end
  return version
end

local function session_of(headers)
  for _, name in ipairs(SESSION_HEADERS) do
    local session = headers:get(name)
    if session and session ~= "" then
      return session:sub(1, SESSION_MAX)
    end
  end
  return nil
end

-- After a pause for an answer the handle is good, objects that it gave before are not.
local function steer(handle, session)
  local pools = read_pools(handle:filterContext():get("pools"))
  if pools.alone then
    return note(handle, session, pools)
  end
  local version = version_of(handle, session, pools)
  if version then
    handle:headers():replace(VERSION_HEADER, version)
    handle:clearRouteCache()
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(VERSION_HEADER) then
    headers:remove(VERSION_HEADER)
    handle:clearRouteCache()
  end
  local session = session_of(headers)
  if session then
    local fine, problem = pcall(steer, handle, session)
    if not fine then
      handle:logErr("cannot tell a session's version: " .. tostring(problem))
    end
  end
end
