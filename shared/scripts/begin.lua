-- Takes a queued job under a lease: counts the attempt, notes who runs it and until when.
-- KEYS: job, jobs:leases, jobs:begun   ARGV: id, execution, worker, lease_ms
-- Returns {} when the delivery is to be dropped (no such job, under a live lease, ended), else the record.
-- The same execution may ask twice (its first answer was lost on the way).
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'running' and redis.call('HGET', KEYS[1], 'execution') == ARGV[2] then
  return redis.call('HGETALL', KEYS[1])
end
if state ~= 'queued' then return {} end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'execution', ARGV[2], 'worker', ARGV[3], 'begun_ms', now_ms)
redis.call('ZADD', KEYS[2], now_ms + ARGV[4], ARGV[1])
-- The newest acceptance time that any worker has reached: what is older and still queued was overtaken.
local accepted_ms = redis.call('HGET', KEYS[1], 'accepted_ms')
if tonumber(accepted_ms) > tonumber(redis.call('GET', KEYS[3]) or 0) then
  redis.call('SET', KEYS[3], accepted_ms)
end
return redis.call('HGETALL', KEYS[1])
