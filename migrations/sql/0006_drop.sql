-- Revision 0006, taken back. Each worker goes on by the settings of its own environment.
DROP TABLE operator_actions, fleet_settings;
DROP FUNCTION centralcloud.refuse_change, centralcloud.stamp_action;
