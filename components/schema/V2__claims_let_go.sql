-- A user that goes, or takes another name, lets go of what it held. A trigger,
-- because each of its statements sees what committed while the user's row was
-- waited for; the statement that fired it may be too old to.

CREATE FUNCTION let_go_of_username() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE username_claims SET holders = holders - 1 WHERE username = OLD.username;
    DELETE FROM username_claims WHERE username = OLD.username AND holders = 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION let_go_of_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE email_claims SET holders = holders - 1 WHERE email = OLD.email;
    DELETE FROM email_claims WHERE email = OLD.email AND holders = 0;
    RETURN NULL;
END
$$;

-- Fired in the order of their names: the username first, as everywhere.
CREATE TRIGGER users_1_delete AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION let_go_of_username();
CREATE TRIGGER users_1_rename AFTER UPDATE OF username ON users
    FOR EACH ROW WHEN (OLD.username IS DISTINCT FROM NEW.username)
    EXECUTE FUNCTION let_go_of_username();
CREATE TRIGGER users_2_delete AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION let_go_of_email();
CREATE TRIGGER users_2_readdress AFTER UPDATE OF email ON users
    FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email)
    EXECUTE FUNCTION let_go_of_email();
