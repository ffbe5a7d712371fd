SELECT current_database() AS database, current_user AS "user";
