-- Registered definitions of a name and version.
SELECT definition FROM graphs WHERE name = :name AND version = :version
