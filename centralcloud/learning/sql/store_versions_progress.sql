UPDATE public.learning_control SET versions_through_slice = %(through_slice)s;
