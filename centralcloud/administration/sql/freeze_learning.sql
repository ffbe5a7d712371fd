UPDATE learning_control SET frozen_at = coalesce(frozen_at, now()), frozen_reason = %(reason)s, revision = revision + 1;
