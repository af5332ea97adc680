-- Writes a new job as "queued" and publishes it unless as many jobs or bytes are open as are admitted, or its idempotency key is taken.
-- KEYS: job, jobs:open, jobs:leases, jobs:bytes, jobs:deadlines, idempotency record ("" for none), gone,
--       the broker's queue, picture
-- ARGV: id, bytes, max_open_jobs, max_stored_bytes, deadline_ms (0 for none), fingerprint, key_ttl_seconds,
--       result_ttl_seconds, gone_ttl_seconds, "known" if the result is among the fields else "",
--       message with JOB_ID for the id, picture to carry or "", picture_ttl_seconds, field, value, …
-- Returns {"admitted" | "full" | "joined" | "conflict", jobs open, jobs running, id of the job that has the key}.
local open, running = redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
-- A caller that did not hear the first answer asks again: nothing changes.
if redis.call('EXISTS', KEYS[1]) == 1 then return {'admitted', open, running, ARGV[1]} end
if KEYS[6] ~= '' then
  local first = redis.call('HMGET', KEYS[6], 'fingerprint', 'id')
  if first[2] then return {first[1] == ARGV[6] and 'joined' or 'conflict', open, running, first[2]} end
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local function keep_key()
  if KEYS[6] == '' then return end
  redis.call('HSET', KEYS[6], 'fingerprint', ARGV[6], 'id', ARGV[1])
  redis.call('EXPIRE', KEYS[6], ARGV[7])
end
-- A result that is known ends the job as it begins: it takes no room in the queue.
if ARGV[10] == 'known' then
  redis.call('HSET', KEYS[1], 'state', 'succeeded', 'attempts', 0, 'accepted_ms', now_ms, 'finished_ms', now_ms,
             unpack(ARGV, 14))
  redis.call('EXPIRE', KEYS[1], ARGV[8])
  redis.call('SET', KEYS[7], redis.call('HGET', KEYS[1], 'owner') or 1, 'EX', ARGV[9])
  keep_key()
  return {'admitted', open, running, ARGV[1]}
end
local bytes = tonumber(redis.call('GET', KEYS[4]) or 0)
if open >= tonumber(ARGV[3]) or bytes + ARGV[2] > tonumber(ARGV[4]) then return {'full', open, running, ''} end
-- First what takes most memory: a server that is full refuses it, and with it everything.
if ARGV[12] ~= '' then redis.call('SET', KEYS[9], ARGV[12], 'EX', ARGV[13]) end
redis.call('HSET', KEYS[1], 'state', 'queued', 'attempts', 0, 'accepted_ms', now_ms, 'published_ms', now_ms,
           unpack(ARGV, 14))
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
redis.call('INCRBY', KEYS[4], ARGV[2])
if ARGV[5] ~= '0' then
  redis.call('HSET', KEYS[1], 'deadline_ms', now_ms + ARGV[5])
  redis.call('ZADD', KEYS[5], now_ms + ARGV[5], ARGV[1])
end
redis.call('LPUSH', KEYS[8], (string.gsub(ARGV[11], 'JOB_ID', ARGV[1])))
keep_key()
return {'admitted', open + 1, running, ARGV[1]}
