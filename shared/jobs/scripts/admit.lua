-- Writes a new job as "queued" and publishes it, unless as many jobs or bytes are open as are admitted, or its
-- idempotency key is taken. Sent twice it changes nothing: the record is there.
-- `idempotency_key` is "" for none, `deadline_ms` 0 for none, `picture` "" if the record carries none; `message` has JOB_ID
-- for the id; `fields` is a JSON list of names and values; `known` is "1" if the result is among them.
-- Returns {"admitted" | "full" | "joined" | "conflict", jobs open, jobs running, id of the job that answers}.
local job_key, open_key, leases_key, bytes_key, deadlines_key, reached_key, gone_key, queue_key, picture_key,
  idempotency_key = unpack(KEYS)
local id, picture_bytes, max_open_jobs, max_stored_bytes, deadline_ms, fingerprint, idempotency_ttl_seconds,
  result_ttl_seconds, gone_ttl_seconds, known, message, picture, picture_ttl_seconds, fields = unpack(ARGV)

local open, running = redis.call('ZCARD', open_key), redis.call('ZCARD', leases_key)
if redis.call('EXISTS', job_key) == 1 then return {'admitted', open, running, id} end
if idempotency_key ~= '' then
  local first = redis.call('HMGET', idempotency_key, 'fingerprint', 'id')
  if first[2] then return {first[1] == fingerprint and 'joined' or 'conflict', open, running, first[2]} end
end
local now = now_ms()

local function keep_idempotency_key()
  if idempotency_key == '' then return end
  redis.call('HSET', idempotency_key, 'fingerprint', fingerprint, 'id', id)
  redis.call('EXPIRE', idempotency_key, idempotency_ttl_seconds)
end

-- A known result ends the job as it begins: it takes no room in the queue.
if known == '1' then
  redis.call('HSET', job_key, 'state', 'succeeded', 'attempts', 0, 'accepted_ms', now, 'finished_ms', now,
             unpack(cjson.decode(fields)))
  redis.call('EXPIRE', job_key, result_ttl_seconds)
  redis.call('SET', gone_key, redis.call('HGET', job_key, 'owner') or 1, 'EX', gone_ttl_seconds)
  keep_idempotency_key()
  return {'admitted', open, running, id}
end

local bytes = tonumber(redis.call('GET', bytes_key) or 0)
if open >= tonumber(max_open_jobs) or bytes + picture_bytes > tonumber(max_stored_bytes) then
  return {'full', open, running, ''}
end

-- Jobs are ordered by the time they were accepted, but never before one that was accepted earlier: the clock may have
-- been set back since. In an empty queue the order begins anew.
local order = now
if open == 0 then
  redis.call('DEL', reached_key)
else
  local newest = redis.call('ZREVRANGE', open_key, 0, 0, 'WITHSCORES')[2]
  order = math.max(now, newest + 1, (redis.call('GET', reached_key) or 0) + 1)
end

-- First what takes most memory: a server that is full refuses it, and with it everything.
if picture ~= '' then redis.call('SET', picture_key, picture, 'EX', picture_ttl_seconds) end
redis.call('HSET', job_key, 'state', 'queued', 'attempts', 0, 'accepted_ms', now, 'published_ms', now, 'order', order,
           unpack(cjson.decode(fields)))
redis.call('ZADD', open_key, order, id)
redis.call('INCRBY', bytes_key, picture_bytes)
if deadline_ms ~= '0' then
  redis.call('HSET', job_key, 'deadline_ms', now + deadline_ms)
  redis.call('ZADD', deadlines_key, now + deadline_ms, id)
end
redis.call('LPUSH', queue_key, (string.gsub(message, 'JOB_ID', id)))
keep_idempotency_key()
return {'admitted', open + 1, running, id}
