-- Run once by the database's image, when it makes its data directory: the role the running product uses.
-- It owns nothing; the migrations grant it what it may do. The password comes from the environment.
\getenv password OPERIS_DB_APP_PASSWORD
create role operis_app login password :'password';
