-- Lock a registered definition.
SELECT definition FROM graphs WHERE id = :graph
