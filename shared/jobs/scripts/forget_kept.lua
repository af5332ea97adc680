-- Removes the kept picture of a failed job and its entry in the index, because the job was retried or deleted, or the
-- picture's time is over. May be sent twice: the second time there is nothing to remove.
local kept_key, kept_bytes_key, picture_key = unpack(KEYS)
local id = unpack(ARGV)

-- Only if the picture is in the index: the picture of an open job must stay.
if redis.call('ZREM', kept_key, id) == 1 then
  redis.call('HINCRBY', kept_bytes_key, 'total', -(redis.call('HGET', kept_bytes_key, id) or 0))
  redis.call('HDEL', kept_bytes_key, id)
  redis.call('DEL', picture_key)
end
if redis.call('ZCARD', kept_key) == 0 then redis.call('DEL', kept_bytes_key) end
return 1
