-- Forget what processes committed last that have long been silent; those that come back begin anew.
DELETE FROM commits WHERE at < now() - interval '30 days'
