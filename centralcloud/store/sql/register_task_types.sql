-- Gives the new task types of one slice their numbers, in the order of their first outcomes, while there are numbers left. Names
-- that are too long, or have a control or invisible character, get none. Served by the primary key of each partition. Two
-- transactions never gather at the same time: they lock the slices.
WITH named AS (
    SELECT learned_task_type AS name, min(id) AS first_id
    FROM public.evidence_of_records
    WHERE slice_no = %(slice_no)s
      AND id > (SELECT after_record_id FROM public.evidence_slices WHERE slice_no = %(slice_no)s)
      AND id <= coalesce(
          (SELECT after_record_id FROM public.evidence_slices WHERE slice_no = %(slice_no)s + 1), 9223372036854775807
      )
      AND learned_task_type <> 'other'
      AND learned_task_type NOT IN (SELECT name FROM public.task_types)
      AND char_length(learned_task_type) <= %(max_length)s
      AND learned_task_type !~ '[\u0001-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]'
    GROUP BY learned_task_type
), numbered AS (
    SELECT name, (SELECT coalesce(max(task_no), 0) FROM public.task_types) + row_number() OVER (ORDER BY first_id) AS task_no
    FROM named
)
INSERT INTO public.task_types (task_no, name, slice_no)
SELECT task_no, name, %(slice_no)s FROM numbered WHERE task_no <= 31;
