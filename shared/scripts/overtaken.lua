-- Publishes queued jobs again whose message must have been lost: later ones have begun, or the broker's queue is empty.
-- KEYS: jobs:open, jobs:leases, jobs:begun, the broker's queue   ARGV: grace_ms, most, prefix of job keys,
--       message with JOB_ID for the id
-- Returns their ids. Looks at the oldest open jobs only: those that
-- are lost further back become the oldest in time. A backlog alone makes no job overtaken.
-- On a server that is full, a script may write anything once it has made a write that takes no memory.
redis.call('ZREM', KEYS[2], '')
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local begun_ms = tonumber(redis.call('GET', KEYS[3]) or 0)
local queue_empty = redis.call('LLEN', KEYS[4]) == 0
local oldest = redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1, 'WITHSCORES')
local found = {}
for i = 1, #oldest, 2 do
  local id, accepted_ms = oldest[i], tonumber(oldest[i + 1])
  if (queue_empty or accepted_ms < begun_ms) and not redis.call('ZSCORE', KEYS[2], id) then
    local key = ARGV[3] .. id
    if now_ms - tonumber(redis.call('HGET', key, 'published_ms') or 0) >= tonumber(ARGV[1]) then
      redis.call('HSET', key, 'published_ms', now_ms)
      redis.call('LPUSH', KEYS[4], (string.gsub(ARGV[4], 'JOB_ID', id)))
      found[#found + 1] = id
    end
  end
end
return found
