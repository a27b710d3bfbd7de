package mastodon

// Route is a line of the table, for tests.
type Route struct{ Method, Path, Scope string }

// Routes is the table.
func Routes() (out []Route) {
	for _, r := range routes {
		out = append(out, Route{r.method, r.path, r.scope})
	}
	return out
}

// The scopes that are none of oauth's.
const (
	Open   = open
	Anyone = anyone
	Stream = stream
	ByApp  = byApp
	Known  = known
)
