"""Names of the Redis keys of job records and of what is kept about all of them; `Queue.key` makes keys of them."""

JOB_PREFIX = "job:"
PICTURE_PREFIX = "image:"
GONE_PREFIX = "gone:"
OPEN_KEY = "jobs:open"
LEASES_KEY = "jobs:leases"
# How far the queue was worked through: the highest order of any claimed job.
REACHED_KEY = "jobs:begun"
DRAIN_KEY = "jobs:drain"
BYTES_KEY = "jobs:bytes"
DEADLINES_KEY = "jobs:deadlines"
FAILED_KEY = "jobs:failed"
ENDED_CHANNEL = "jobs:ended"
# Messages of other programs that were found in the queue, the newest first.
FOREIGN_KEY = "jobs:foreign"
# What an execution has claimed, for as long as its lease.
CLAIMED_PREFIX = "claimed:"
# Who looks after stalled jobs, and Redis' clock when somebody last looked.
CLOCK_KEY = "repair:clock"
ROUND_KEY = "repair:round"
