UPDATE learning_control SET frozen_at = NULL, frozen_reason = NULL, revision = revision + 1 WHERE frozen_at IS NOT NULL;
