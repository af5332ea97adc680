"""Names of the Redis keys of job records and their indexes; `Queue.key` adds the prefix."""

JOB_PREFIX = "job:"
PICTURE_PREFIX = "image:"
GONE_PREFIX = "gone:"
OPEN_KEY = "jobs:open"
LEASES_KEY = "jobs:leases"
# The highest queue order of all jobs claimed so far.
REACHED_KEY = "jobs:begun"
DRAIN_KEY = "jobs:drain"
BYTES_KEY = "jobs:bytes"
DEADLINES_KEY = "jobs:deadlines"
FAILED_KEY = "jobs:failed"
ENDED_CHANNEL = "jobs:ended"
# Messages of other programs found in the queue, newest first.
FOREIGN_KEY = "jobs:foreign"
# The jobs that an execution has claimed; kept as long as its lease.
CLAIMED_PREFIX = "claimed:"
# The reaper's current turn, and Redis' time at the last call of any worker.
CLOCK_KEY = "repair:clock"
# The answer of the last search for lost messages, in case the call is sent twice.
ROUND_KEY = "repair:round"
