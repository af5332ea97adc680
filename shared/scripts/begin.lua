-- Takes a queued job under a lease: counts the attempt, notes who runs it and until when.
-- KEYS: job, jobs:leases, jobs:begun, picture
-- ARGV: id, execution, worker, lease_ms, newest format version that is understood
-- Returns {} when the delivery is to be dropped (no such job, under a lease, ended, past its deadline, or written by
-- a newer version: then a newer worker takes it), else the picture
-- that the record carries or "", and the record: field, value, …
-- The same execution may ask twice (its first answer was lost on the way).
local function with_picture()
  local found = redis.call('HGETALL', KEYS[1])
  table.insert(found, 1, redis.call('GET', KEYS[4]) or '')
  return found
end
local record = redis.call('HMGET', KEYS[1], 'state', 'execution', 'format_version', 'deadline_ms', 'accepted_ms')
if record[1] == 'running' and record[2] == ARGV[2] then return with_picture() end
if record[1] ~= 'queued' or tonumber(record[3]) > tonumber(ARGV[5]) then return {} end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if record[4] and tonumber(record[4]) <= now_ms then return {} end
-- On a server that is full, a script may write anything once it has made a write that takes no memory.
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'execution', ARGV[2], 'worker', ARGV[3], 'begun_ms', now_ms)
redis.call('ZADD', KEYS[2], now_ms + ARGV[4], ARGV[1])
-- The newest acceptance time that any worker has reached: what is older and still queued was overtaken.
if tonumber(record[5]) > tonumber(redis.call('GET', KEYS[3]) or 0) then
  redis.call('SET', KEYS[3], record[5])
end
return with_picture()
