DELETE FROM leases WHERE name = %(name)s AND holder = %(holder)s;
