// Package main is planet, the one binary: it reads the settings, wires the packages together and runs the node, and it is the
// operator's hand on a node, running or not. It decides nothing about people, posts or money itself: each command is one call
// into activitypub (what others may see) or storage (what they may not), and one line or table about the outcome.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"unicode"

	"github.com/alecthomas/kong"

	"planet/activitypub"
)

// The exit codes that scripts may rely on.
const (
	exitOK      = 0
	exitRefused = 1
	exitUsage   = 2
)

func main() { end(nil) }

// end runs the program to its end. keys are what new actors sign with; nil: newly made.
func end(keys activitypub.NewKeys) {
	ctx, stop := context.WithCancel(context.Background())
	// The first signal asks, the second ends the process. Both are waited for from the start: one that follows the first at
	// once is not lost while the first is still being passed on.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals
		os.Exit(exitRefused)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, keys))
}

// cli is the whole command line.
type cli struct {
	ConfigFile string `name:"config" env:"PLANET_CONFIG" placeholder:"FILE" group:"settings-file" help:"Read settings from this file instead of planet.toml."`
	Config     `group:"settings"`

	Serve        serveCmd        `cmd:"" help:"Run the node."`
	Dev          devCmd          `cmd:"" help:"Run two nodes that know each other, to try things out."`
	Show         configCmd       `cmd:"" name:"config" help:"Print every setting with its value, source and meaning."`
	User         userCmd         `cmd:"" help:"People and their accounts, here and, to suspend or silence them, elsewhere."`
	Coop         coopCmd         `cmd:"" help:"Co-ops and who has which role in them."`
	Invite       inviteCmd       `cmd:"" help:"Invitations."`
	Announcement announcementCmd `cmd:"" help:"What everybody who signs in is told: create, list, remove."`
	Token        tokenCmd        `cmd:"" help:"Access tokens for apps and scripts."`
	Post         postCmd         `cmd:"" help:"Publish posts and answer those of others: like, boost, vote, keep, pin."`
	Offer        offerCmd        `cmd:"" help:"Offers and requests: create, list, show, edit, pause, close."`
	Order        orderCmd        `cmd:"" help:"Orders: place, list, accept, decline, cancel, deliver, confirm."`
	Media        mediaCmd        `cmd:"" help:"Pictures: usage, prune, list, describe."`
	Follow       followCmd       `cmd:"" help:"Follow somebody, answer who asks to follow, or list who follows whom."`
	Block        blockCmd        `cmd:"" help:"Whom a person or co-op wants nothing to do with."`
	Mute         muteCmd         `cmd:"" help:"Whom a person or co-op does not want to read."`
	Domain       domainCmd       `cmd:"" help:"Servers to block, silence or allow."`
	Report       reportCmd       `cmd:"" help:"Complaints: list, show, resolve, create."`
	Currency     currencyCmd     `cmd:"" help:"Currencies of co-ops: found, rules, limits."`
	Account      accountCmd      `cmd:"" help:"Accounts in a currency, and their statements."`
	Pay          payCmd          `cmd:"" help:"Pay somebody, or hold an amount for her."`
	Payment      paymentCmd      `cmd:"" help:"Payments: list, show, take or let go what is held, refund."`
	Contribution contributionCmd `cmd:"" help:"Work for a co-op, in hours: add, list, confirm, correct."`
	Ledger       ledgerCmd       `cmd:"" help:"The books: verify, resume, export, import."`
	Receipt      receiptCmd      `cmd:"" help:"Receipts that anyone can check offline."`
	Queue        queueCmd        `cmd:"" help:"Deliveries and jobs that wait, fail or are given up."`
	Backup       backupCmd       `cmd:"" help:"Put the node into one file, or verify such a file."`
	Restore      restoreCmd      `cmd:"" help:"Put a backup into an empty data directory."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the database to this version."`
	Doctor       doctorCmd       `cmd:"" help:"Look for what is wrong with this node."`
	Keys         keysCmd         `cmd:"" help:"Signing keys."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

// app is what a command runs with.
type app struct {
	ctx            context.Context
	cfg            *Config
	settings       *settings
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is a wrong way to call a command that only the command itself can see.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

// settingError is a setting that cannot be read or is not good.
type settingError struct{ err error }

func (e settingError) Error() string { return e.err.Error() }
func (e settingError) Unwrap() error { return e.err }

// run is the program: it returns the exit code and never ends the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, keys activitypub.NewKeys) int {
	var c cli
	set := &settings{path: configFile(args), getenv: os.LookupEnv, sources: map[string]string{}}
	done := false // --help has been answered
	parser, err := kong.New(&c,
		kong.Name("planet"),
		kong.Description("A node for co-ops: people, posts and payments, federated by ActivityPub."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { done = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Help(help),
		kong.ExplicitGroups([]kong.Group{{Key: settingsGroup, Title: "Settings:"}, {Key: "settings-file", Title: "Settings file:"}}),
		kong.Resolvers(set),
	)
	if err != nil {
		return fail(stderr, err, exitRefused)
	}
	if err := set.load(parser.Model); err != nil {
		return fail(stderr, err, exitRefused)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	var setting settingError
	switch {
	case done:
		return exitOK
	case errors.As(err, &setting):
		return fail(stderr, setting, exitRefused)
	case err != nil:
		return fail(stderr, fmt.Errorf("%w; see planet --help", err), exitUsage)
	}
	if err := c.Config.check(); err != nil {
		return fail(stderr, err, exitRefused)
	}
	c.Config.keys = keys
	err = k.Run(&app{ctx: ctx, cfg: &c.Config, settings: set, stdin: stdin, stdout: stdout, stderr: stderr})
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return fail(stderr, err, exitUsage)
	case err != nil:
		return fail(stderr, err, exitRefused)
	}
	return exitOK
}

// fail prints one line.
func fail(stderr io.Writer, err error, code int) int {
	fmt.Fprintln(stderr, "planet: "+strings.Join(strings.Fields(printable(err.Error())), " "))
	return code
}

// configFile looks for --config ahead of the parser, which reads the file while it parses.
func configFile(args []string) string {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			return v
		}
		if a == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("PLANET_CONFIG")
}

// help prints the settings with the commands that are about them, and not with every other one.
func help(opts kong.HelpOptions, k *kong.Context) error {
	if n := k.Selected(); n != nil && n.Name != "serve" && n.Name != "config" {
		for _, flags := range k.Model.Node.AllFlags(true) {
			for _, f := range flags {
				f.Hidden = f.Hidden || f.Group != nil
			}
		}
	}
	return kong.DefaultHelpPrinter(opts, k)
}

// say prints one line about what was done.
func (c *app) say(format string, args ...any) {
	fmt.Fprintf(c.stdout, format+"\n", args...)
}

// json prints one document, indented.
func (c *app) json(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table prints rows in columns.
func (c *app) table(head ...string) *table {
	t := &table{tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)}
	t.row(head...)
	return t
}

type table struct{ w *tabwriter.Writer }

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

// printable makes text of others one line that can do nothing to a terminal: control characters and those that turn the
// direction of writing become spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}

func (t *table) flush() error { return t.w.Flush() }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
