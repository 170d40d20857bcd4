-- The nodes that are taken over: name, number in the run that is over and in the new one, lane. What is cast to its type
-- can be looked up.
(SELECT json_extract(value, '$[0]') AS node, CAST(json_extract(value, '$[1]') AS integer) AS was,
    json_extract(value, '$[2]') AS number, json_extract(value, '$[3]') AS lane FROM json_each(:nodes))
