-- Stores through when the sums of use have the records.
UPDATE public.roll_up_progress SET rolled_up_until = least(now(), %(until)s);
