-- +goose Up
-- Codes and the tokens that came of them, found without a look at all: they end with a role, and when a code comes twice.
CREATE INDEX grants_user ON grants (user_id);
CREATE INDEX tokens_grant ON tokens (grant_id);

-- +goose Down
DROP INDEX tokens_grant;
DROP INDEX grants_user;
