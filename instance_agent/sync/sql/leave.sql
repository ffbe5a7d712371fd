-- Removes this instance from the register, because it stops.
SELECT centralcloud.leave(%(instance_id)s);
