-- Writes the delivery of a job or a batch that has ended, due at once. It contains a copy of the record, because the
-- record may expire before the delivery is sent. Included in scripts that name these keys.
local function deliver(record_key, key, id, now)
  local receiver = redis.call('HGET', record_key, 'receiver') or ''
  -- cjson writes `/` as `\/`, which takes more memory.
  local record = string.gsub(cjson.encode(redis.call('HGETALL', record_key)), '\\/', '/')
  redis.call('HSET', key, 'receiver', receiver, 'attempts', 0, 'waited_ms', 0, 'record', record)
  redis.call('ZADD', deliveries_key, now, id)
  redis.call('ZADD', due_of(receiver), now, id)
  set_earliest(receiver)
  note_clock(now)
  redis.call('PUBLISH', due_key, id)
end
