-- The nodes that are taken over: name, number in the run that is over and in the new one, lane.
(SELECT value ->> 0 AS node, (value ->> 1)::bigint AS was, (value ->> 2)::bigint AS number, (value ->> 3)::bigint AS lane
    FROM json_array_elements(:nodes::json))
