-- Moves a job into a terminal state; the first one wins.
-- KEYS: job, jobs:open, jobs:leases, jobs:bytes, jobs:deadlines, jobs:drain, jobs:failed, gone, cache entry ("" for none),
--       picture
-- ARGV: id, state, allowed states joined by ",", result_ttl_seconds, gone_ttl_seconds, channel, cached value, cache_ttl_seconds,
--       field, value, …
-- Returns 1 when the job moved, 0 when it may not (ended before, or not there).
local record = redis.call('HMGET', KEYS[1], 'state', 'bytes', 'begun_ms', 'deadline_ms', 'owner')
if not record[1] or not string.find(',' .. ARGV[3] .. ',', ',' .. record[1] .. ',', 1, true) then return 0 end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
-- On a server that is full, a script may write anything once it has made a write that takes no memory: the end of
-- jobs is what frees memory.
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finished_ms', now_ms, unpack(ARGV, 9))
redis.call('EXPIRE', KEYS[1], ARGV[4])
-- Whose it was, so that it is gone for its owner only.
redis.call('SET', KEYS[8], record[5] or 1, 'EX', ARGV[5])
redis.call('DEL', KEYS[10])
redis.call('ZREM', KEYS[3], ARGV[1])
if record[4] then redis.call('ZREM', KEYS[5], ARGV[1]) end
redis.call('DECRBY', KEYS[4], record[2])
if ARGV[2] == 'failed' then
  redis.call('ZADD', KEYS[7], now_ms, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now_ms - ARGV[4] * 1000)
end
-- A moving average of the time between two ends while others wait: how fast the queue drains. The time in which
-- nothing was there to do does not count.
local drain = {'finished_ms', now_ms}
if record[3] and redis.call('ZCARD', KEYS[2]) > 0 then
  local before = redis.call('HMGET', KEYS[6], 'finished_ms', 'interval_ms')
  local interval_ms = now_ms - math.max(tonumber(before[1] or 0), tonumber(record[3]))
  drain[3], drain[4] = 'interval_ms', 0.95 * (before[2] or interval_ms) + 0.05 * interval_ms
end
redis.call('HSET', KEYS[6], unpack(drain))
if KEYS[9] ~= '' then redis.call('SET', KEYS[9], ARGV[7], 'EX', ARGV[8]) end
-- Whoever waits is told the whole end, so that none of them has to ask for it.
redis.call('PUBLISH', ARGV[6], cjson.encode({ARGV[1], redis.call('HGETALL', KEYS[1])}))
return 1
