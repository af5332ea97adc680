-- Writes the delivery of a job that has ended, due at once. It contains a copy of the record, because the record may
-- expire before the delivery is sent. Included in scripts that name these keys.
local function deliver(id, now)
  local receiver = redis.call('HGET', job_key, 'receiver') or ''
  -- cjson writes `/` as `\/`, which takes more memory.
  local record = string.gsub(cjson.encode(redis.call('HGETALL', job_key)), '\\/', '/')
  redis.call('HSET', delivery_key, 'receiver', receiver, 'attempts', 0, 'waited_ms', 0, 'record', record)
  redis.call('ZADD', deliveries_key, now, id)
  redis.call('ZADD', due_of(receiver), now, id)
  set_earliest(receiver)
  note_clock(now)
  redis.call('PUBLISH', due_key, id)
end
