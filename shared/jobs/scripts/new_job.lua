-- Writes new jobs.
-- include: count_ended

-- Returns the `order` of the next job: the time of acceptance, but always higher than that of earlier jobs, also after the
-- clock was set back. When no job is open, it starts again from the clock.
local function next_order(now)
  if redis.call('ZCARD', open_key) == 0 then
    redis.call('DEL', reached_key)
    return now
  end
  local newest = redis.call('ZREVRANGE', open_key, 0, 0, 'WITHSCORES')[2]
  return math.max(now, newest + 1, (redis.call('GET', reached_key) or 0) + 1)
end

-- Writes a job as queued and publishes its message.
local function enqueue(id, key, order, now, bytes, fields)
  redis.call('HSET', key, 'state', 'queued', 'attempts', 0, 'accepted_ms', now, 'published_ms', now, 'order', order,
             unpack(fields))
  redis.call('ZADD', open_key, order, id)
  redis.call('INCRBY', bytes_key, bytes)
  redis.call('LPUSH', queue_key, (string.gsub(message, 'JOB_ID', id)))
end

-- Writes a job as succeeded, with a cached result that is among the fields.
local function write_known(key, tombstone_key, now, fields)
  redis.call('HSET', key, 'state', 'succeeded', 'attempts', 0, 'accepted_ms', now, 'finished_ms', now, unpack(fields))
  redis.call('EXPIRE', key, result_ttl_seconds)
  redis.call('SET', tombstone_key, redis.call('HGET', key, 'owner') or 1, 'EX', gone_ttl_seconds)
  count_ended('succeeded', now)
end
