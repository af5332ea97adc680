-- Takes a queued job under a lease: counts the attempt, notes who runs it and until when.
-- KEYS: the broker's queue, jobs:leases, jobs:begun
-- ARGV: id ("" for the next message in the queue), execution, worker, lease_ms, newest format version that is
--       understood, prefix of job keys, prefix of picture keys
-- Returns the id, the picture that the record carries or "", and the record: field, value, …; {} when nothing waits or
-- the delivery is to be dropped (no such job, under a lease, ended, past its deadline, or written by a newer version:
-- then a newer worker takes it); {"", message} for a message that is about no job, or not in JSON.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function answer(id, key)
  local found = redis.call('HGETALL', key)
  table.insert(found, 1, redis.call('GET', ARGV[7] .. id) or '')
  table.insert(found, 1, id)
  return found
end

local function begin(id)
  local key = ARGV[6] .. id
  local record = redis.call('HMGET', key, 'state', 'execution', 'format_version', 'deadline_ms', 'accepted_ms')
  -- The same execution may ask twice (its first answer was lost on the way).
  if record[1] == 'running' and record[2] == ARGV[2] then return answer(id, key) end
  if record[1] ~= 'queued' or tonumber(record[3]) > tonumber(ARGV[5]) then return nil end
  if record[4] and tonumber(record[4]) <= now_ms then return nil end
  -- On a server that is full, a script may write anything once it has made a write that takes no memory.
  redis.call('ZREM', KEYS[2], id)
  redis.call('HINCRBY', key, 'attempts', 1)
  redis.call('HSET', key, 'state', 'running', 'execution', ARGV[2], 'worker', ARGV[3], 'begun_ms', now_ms)
  redis.call('ZADD', KEYS[2], now_ms + ARGV[4], id)
  -- The newest acceptance time that any worker has reached: what is older and still queued was overtaken.
  if tonumber(record[5]) > tonumber(redis.call('GET', KEYS[3]) or 0) then
    redis.call('SET', KEYS[3], record[5])
  end
  return answer(id, key)
end

if ARGV[1] ~= '' then return begin(ARGV[1]) or {} end
for _ = 1, 100 do
  local message = redis.call('RPOP', KEYS[1])
  if not message then return {} end
  local read, id = pcall(function()
    local envelope = cjson.decode(message)
    return envelope['content-type'] == 'application/json' and envelope.headers.id
  end)
  if not read or type(id) ~= 'string' then return {'', message} end
  local begun = begin(id)
  if begun then return begun end
end
return {}
