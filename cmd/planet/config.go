package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"planet/activitypub"
)

// Config is every setting of a node. Each comes from its flag, else from its PLANET_* variable unless that is empty (a secret
// also from the file that PLANET_*_FILE names), else from planet.toml, where it has the variable's name without the prefix in
// lower case, else it has its default. `planet config` prints them all.
type Config struct {
	Origin          string   `env:"PLANET_ORIGIN" default:"http://localhost:8080" placeholder:"URL" help:"The public origin. It becomes part of every id and is refused if changed later."`
	Listen          string   `env:"PLANET_LISTEN" default:"localhost:8080" placeholder:"HOST:PORT" help:"Address to listen on."`
	Data            string   `env:"PLANET_DATA" default:"./planet-data" placeholder:"DIR" help:"Directory for database, media and keys; only its owner may read it."`
	Database        string   `env:"PLANET_DATABASE" placeholder:"DSN" secret:"" help:"A SQLite file, or postgres://… (default: planet.db in the data directory)."`
	Signup          string   `env:"PLANET_SIGNUP" default:"invite" placeholder:"MODE" help:"Who may sign up: closed, invite or, by an app, open (approval is not built yet)."`
	Federation      string   `env:"PLANET_FEDERATION" default:"open" placeholder:"MODE" help:"Which servers to speak with: open (all but those that are blocked), allowlist (those that planet domain allow names) or off (none)."`
	AuthorizedFetch string   `env:"PLANET_AUTHORIZED_FETCH" default:"off" placeholder:"on|off" help:"on: only signed requests read ActivityPub documents (the instance actor stays open)."`
	AllowNets       []string `env:"PLANET_ALLOW_NETS" placeholder:"CIDR,…" help:"Networks outside the public internet that fetches and deliveries may reach (tests, private networks)."`
	ExtraCA         string   `name:"extra-ca" env:"PLANET_EXTRA_CA" placeholder:"FILE" help:"PEM file of further roots to trust for outgoing TLS."`
	TrustedProxies  []string `env:"PLANET_TRUSTED_PROXIES" default:"127.0.0.0/8,::1/128" placeholder:"CIDR,…" help:"Proxies whose X-Forwarded-For and X-Forwarded-Proto count."`
	RateLimit       string   `env:"PLANET_RATE_LIMIT" default:"on" placeholder:"on|off" help:"off for load tests."`
	MediaCache      string   `env:"PLANET_MEDIA_CACHE" default:"256MB" placeholder:"SIZE" help:"Disk that pictures of other servers may take; 0 keeps none of them."`
	Log             string   `env:"PLANET_LOG" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error; text on a terminal, JSON otherwise."`

	keys activitypub.NewKeys // nil but in tests
}

// settings reads what the command line leaves open and remembers where each setting came from. It is kong's resolver.
type settings struct {
	path    string // the file as asked for; "" means planet.toml in the working directory, if there is one
	getenv  func(string) (string, bool)
	file    map[string]any
	sources map[string]string // by flag name
	group   []*kong.Flag
}

// settingsGroup marks the flags that are settings, apart from those of one command.
const settingsGroup = "settings"

// Validate is part of kong's interface; load has looked at everything before.
func (s *settings) Validate(*kong.Application) error { return nil }

// load reads planet.toml and refuses keys that are no setting.
func (s *settings) load(app *kong.Application) error {
	for _, f := range app.AllFlags(false) {
		for _, f := range f {
			if f.Group != nil && f.Group.Key == settingsGroup {
				s.group = append(s.group, f)
			}
		}
	}
	optional := s.path == ""
	if optional {
		s.path = "planet.toml"
	}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return nil
	} else if err != nil {
		return err
	}
	if err := toml.Unmarshal(text, &s.file); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	for _, key := range sortedKeys(s.file) {
		if !slices.ContainsFunc(s.group, func(f *kong.Flag) bool { return tomlKey(f) == key }) {
			return fmt.Errorf("%s: unknown setting %q; `planet config` lists them all", s.path, key)
		}
	}
	return nil
}

// Resolve finds the value of a setting that no flag gave; nil leaves the variable or the default in force.
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	if f.Group == nil || f.Group.Key != settingsGroup {
		return nil, nil
	}
	env := f.Envs[0]
	value, empty := s.getenv(env)
	if value != "" {
		s.sources[f.Name] = env
		return nil, nil
	}
	if name, ok := s.getenv(env + "_FILE"); ok && isSecret(f) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, settingError{fmt.Errorf("%s_FILE: %w", env, err)}
		}
		s.sources[f.Name] = env + "_FILE"
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	v, ok := s.file[tomlKey(f)]
	if !ok {
		s.sources[f.Name] = "default"
		if empty { // a variable without a value is as good as none, which kong does not know
			return f.Default, nil
		}
		return nil, nil
	}
	s.sources[f.Name] = s.path
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		if v {
			return "on", nil
		}
		return "off", nil
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			part, ok := p.(string)
			if !ok {
				return nil, settingError{fmt.Errorf("%s: %s: want a list of strings", s.path, tomlKey(f))}
			}
			parts[i] = part
		}
		return strings.Join(parts, ","), nil
	default:
		return nil, settingError{fmt.Errorf("%s: %s: want a string, not %v", s.path, tomlKey(f), v)}
	}
}

func tomlKey(f *kong.Flag) string { return strings.ReplaceAll(f.Name, "-", "_") }

func isSecret(f *kong.Flag) bool { return f.Tag.Has("secret") }

// check makes the settings canonical, or says in one line what is wrong with the first bad one.
func (c *Config) check() error {
	origin, err := canonicalOrigin(c.Origin)
	if err != nil {
		return err
	}
	c.Origin = origin
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: want HOST:PORT, not %q", c.Listen)
	}
	if c.Data == "" {
		return errors.New("data: a directory is needed")
	}
	switch scheme, _, url := strings.Cut(c.Database, "://"); {
	case c.Database == "":
		c.Database = filepath.Join(c.Data, "planet.db")
	case url && scheme != "postgres" && scheme != "postgresql":
		return fmt.Errorf("database: want a SQLite file or postgres://…, not %s://…", scheme)
	}
	for _, one := range []struct {
		name, value string
		allowed     []string
	}{
		{"signup", c.Signup, []string{"closed", "invite", "approval", "open"}},
		{"federation", c.Federation, []string{"open", "allowlist", "off"}},
		{"authorized_fetch", c.AuthorizedFetch, []string{"on", "off"}},
		{"rate_limit", c.RateLimit, []string{"on", "off"}},
		{"log", c.Log, []string{"debug", "info", "warn", "error"}},
	} {
		if !slices.Contains(one.allowed, one.value) {
			return fmt.Errorf("%s: want one of %s, not %q", one.name, strings.Join(one.allowed, ", "), one.value)
		}
	}
	// A setting that did nothing would be worse than none: a node that should be closed would be open.
	if c.Signup == "approval" {
		return fmt.Errorf("signup: %s is not built yet; use invite, closed or open", c.Signup)
	}
	if _, err := parseSize(c.MediaCache); err != nil {
		return fmt.Errorf("media_cache: %w", err)
	}
	if _, err := prefixes("allow_nets", c.AllowNets); err != nil {
		return err
	}
	if _, err := prefixes("trusted_proxies", c.TrustedProxies); err != nil {
		return err
	}
	_, err = c.extraCA()
	return err
}

// canonicalOrigin is scheme://host[:port] in lower case. Plain http is for loopback names alone: whatever else is spoken over it
// could be read and changed on its way.
func canonicalOrigin(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("origin: want https://host with nothing after it, not %q", origin)
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !isLoopback(u.Hostname()) {
			return "", fmt.Errorf("origin: http is for loopback names alone (localhost, *.localhost, 127.0.0.1); use https://%s", u.Host)
		}
	default:
		return "", fmt.Errorf("origin: want https://host, not %q", origin)
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}

// isLoopback reports whether a host name can only mean this machine.
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1"
}

// prefixes reads networks; a lone address stands for itself.
func prefixes(name string, list []string) ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for _, s := range list {
		s = strings.TrimSpace(s)
		if s == "" {
			continue
		}
		if a, err := netip.ParseAddr(s); err == nil {
			nets = append(nets, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%s: want networks like 10.0.0.0/8, not %q", name, s)
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

// extraCA reads the certificates of extra_ca; nil when the system's are enough.
func (c *Config) extraCA() ([]byte, error) {
	if c.ExtraCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.ExtraCA)
	if err != nil {
		return nil, fmt.Errorf("extra_ca: %s: %w", c.ExtraCA, reason(err))
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("extra_ca: %s holds no certificate in PEM", c.ExtraCA)
	}
	return pem, nil
}

// logger writes text to a terminal and JSON to anything else.
func (c *Config) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log)) // check has seen it; info otherwise
	opts := &slog.HandlerOptions{Level: level}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			return slog.New(slog.NewTextHandler(w, opts))
		}
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// ConfigCmd prints the settings.
type configCmd struct {
	Check bool `help:"Print nothing, only say whether the settings are good."`
	JSON  bool `help:"Print JSON."`
}

func (configCmd) Help() string {
	return "Example: planet config --check && planet serve"
}

func (cmd configCmd) Run(c *app) error {
	if cmd.Check {
		c.say("the settings are good")
		return nil
	}
	type line struct {
		Setting string `json:"setting"`
		Value   string `json:"value"`
		Source  string `json:"source"`
		Meaning string `json:"meaning"`
	}
	var lines []line
	for _, f := range c.settings.group {
		value := fmt.Sprint(f.Target.Interface())
		if list, ok := f.Target.Interface().([]string); ok {
			value = strings.Join(list, ",")
		}
		if isSecret(f) {
			value = masked(value)
		}
		source := c.settings.sources[f.Name]
		if source == "" {
			source = "flag"
		}
		lines = append(lines, line{f.Envs[0], value, source, f.Help})
	}
	if cmd.JSON {
		return c.json(lines)
	}
	t := c.table("SETTING", "VALUE", "SOURCE", "MEANING")
	for _, l := range lines {
		t.row(l.Setting, l.Value, l.Source, l.Meaning)
	}
	return t.flush()
}

// masked hides the password of a database address.
func masked(dsn string) string {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		return dsn // a file name is no secret
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		return scheme + "://" + user + ":***" + hideQuery(rest[at:])
	}
	return scheme + "://" + hideQuery(rest)
}

// hideQuery drops the options of an address: a password may stand there too.
func hideQuery(s string) string {
	if before, _, ok := strings.Cut(s, "?"); ok {
		return before + "?***"
	}
	return s
}
