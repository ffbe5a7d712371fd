-- Stores that the experiments are looked after. After a silence it stores how long that was, and since when it is over.
UPDATE public.experiment_heartbeat
SET
    resumed_at = CASE WHEN seen_at < %(now)s - %(longest_silence)s::interval THEN %(now)s ELSE resumed_at END,
    silent_for = CASE WHEN seen_at < %(now)s - %(longest_silence)s::interval THEN %(now)s - seen_at ELSE silent_for END,
    seen_at = %(now)s
RETURNING resumed_at, silent_for;
