-- Which version of an endpoint a session belongs to. Runs only for endpoints that share their traffic among versions.
--
-- Every worker of Envoy has this script, and with it the two tables, for itself. What is known from the server counts
-- for this turn; a turn ends after an hour or so many sessions. What was known before, or had to be decided without
-- the server, is told to the server as a guess when it is asked (again), and counts when it does not answer.
-- A failure never fails a request: without a version the weights decide.

local VERSION_HEADER = "x-roost-version"
local SESSION_HEADERS = { "x-roost-session-id", "x-greennode-agentbase-session-id" }
local CLUSTER = "roost_sessions"
local PATIENCE_MS = 250
local SESSION_MAX = 256
local TURN_SESSIONS = 20000
local TURN_MS = 3600000

local known, before = {}, {}
local sessions, turned_at = 0, 0

local pools_read, pools_count = {}, 0

local function turn_over(now)
  if sessions >= TURN_SESSIONS or now - turned_at > TURN_MS then
    known, before = {}, known
    sessions, turned_at = 0, now
  end
end

local function keep(in_table, key, version)
  if in_table[key] == nil then
    sessions = sessions + 1
  end
  in_table[key] = version
end

-- Percent by version, those in ascending order, and which versions serve at all. Read once for each pair of texts.
local function read_pools(weights, keeps)
  local text = weights .. ";" .. keeps
  local pools = pools_read[text]
  if pools == nil then
    pools = { versions = {}, weights = {}, total = 0, serves = {} }
    for version, weight in weights:gmatch("(%d+):(%d+)") do
      pools.versions[#pools.versions + 1] = version
      pools.weights[version] = tonumber(weight)
      pools.total = pools.total + tonumber(weight)
      pools.serves[version] = true
    end
    for version in keeps:gmatch("%d+") do
      pools.serves[version] = true
    end
    if pools_count >= 1000 then
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
    place = place - pools.weights[version]
    if place < 0 then
      return version
    end
  end
  return nil
end

local function ask(handle, endpoint, session, weights, keeps, guess)
  local path = "/" .. endpoint .. "?weights=" .. weights .. "&keeps=" .. keeps
  if guess then
    path = path .. "&guess=" .. guess
  end
  local headers, body = handle:httpCall(
    CLUSTER,
    { [":method"] = "POST", [":path"] = path, [":authority"] = CLUSTER },
    session,
    PATIENCE_MS
  )
  return headers[":status"] == "200" and body or nil
end

local function version_of(handle, session)
  local context = handle:filterContext()
  local endpoint, weights, keeps = context:get("endpoint"), context:get("weights"), context:get("keeps")
  local pools = read_pools(weights, keeps)
  local key = endpoint .. session
  turn_over(handle:timestamp())
  local version = known[key]
  if version and pools.serves[version] then
    return version
  end
  local guess = version or before[key]
  guess = pools.serves[guess] and guess or nil
  version = ask(handle, endpoint, session, weights, keeps, guess)
  if version and pools.serves[version] then
    keep(known, key, version)
    return version
  end
  version = guess or choose(session, pools)
  if version then
    keep(before, key, version)
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
  local version = version_of(handle, session)
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
