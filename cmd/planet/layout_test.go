package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// The layout test holds the code to docs/architecture.md. A rule is a function from source files to findings; TestLayout runs
// every rule over the repository, TestRulesCanFail runs each over a small snippet that breaks it, so that no rule can go blind.

// source is one Go file, named by its path from the top of the repository.
type source struct {
	path string
	text []byte
	tree *ast.File
	fset *token.FileSet
}

func (s *source) dir() string  { return path.Dir(s.path) }
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) exempt() bool { return s.isTest() || slices.Contains(testSupport, s.dir()) }
func (s *source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

// testSupport are packages that only tests import: they may import testing, and no code that ships may import them.
var testSupport = []string{"storage/storagetest", "activitypub/aptest", "activitypub/interop"}

// room says what the code that ships in one directory may import.
type room struct {
	ours    []string // directories; "x/..." means x and all below it
	outside []string // import paths; "x/..." likewise
	banned  []string // parts of the standard library that are out of bounds
}

var pure = []string{"database/...", "net/...", "os/...", "syscall", "log/..."}

// rooms is the import table of docs/architecture.md. A library that is not here gets a row together with its reason in
// docs/decisions, in the change that brings it.
var rooms = map[string]room{
	"ledger":       {banned: pure},
	"ledger/sim":   {ours: []string{"ledger", "ledger/proof"}, banned: pure},
	"ledger/proof": {ours: []string{"ledger"}, outside: []string{"golang.org/x/mod/sumdb/tlog", "golang.org/x/mod/sumdb/note"}, banned: pure},

	"storage": {
		ours: []string{"ledger", "ledger/proof", "storage/..."},
		outside: []string{"gorm.io/gorm/...", "gorm.io/driver/sqlite", "gorm.io/driver/postgres", "github.com/mattn/go-sqlite3",
			"github.com/jackc/pgx/v5/...", "github.com/pressly/goose/v3/...", "golang.org/x/crypto/argon2"},
	},
	"storage/migrations": {},
	"storage/media": {
		ours:    []string{"storage"},
		outside: []string{"golang.org/x/image/...", "github.com/bbrks/go-blurhash"},
	},
	"storage/backup":      {ours: []string{"storage", "storage/media"}},
	"storage/storagetest": {ours: []string{"ledger", "ledger/proof", "storage/..."}, outside: []string{"github.com/jackc/pgx/v5/stdlib", "github.com/mattn/go-sqlite3"}},

	"activitypub": {
		ours: []string{"ledger", "ledger/proof", "storage", "storage/media"},
		outside: []string{"github.com/go-fed/activity/streams/...", "github.com/go-fed/httpsig", "github.com/dunglas/httpsfv",
			"github.com/gowebpki/jcs", "github.com/mr-tron/base58", "github.com/microcosm-cc/bluemonday", "github.com/yuin/goldmark/...",
			"github.com/maypok86/otter/v2", "code.dny.dev/ssrf", "golang.org/x/time/rate",
			"golang.org/x/net/html/...", "golang.org/x/net/idna", "golang.org/x/text/unicode/norm", "golang.org/x/sync/..."},
	},
	"activitypub/aptest":  {ours: []string{"ledger", "ledger/proof", "storage/...", "activitypub"}, outside: []string{"github.com/gowebpki/jcs", "github.com/mr-tron/base58"}},
	"activitypub/interop": {ours: []string{"storage/...", "activitypub/..."}},

	"web/oauth":    {ours: []string{"storage"}, outside: []string{"github.com/labstack/echo/v4/..."}},
	"web/mastodon": {ours: []string{"ledger", "storage", "activitypub", "web/oauth"}, outside: []string{"github.com/labstack/echo/v4/...", "github.com/coder/websocket"}},
	"web/economy":  {ours: []string{"ledger", "storage", "activitypub", "web/oauth"}, outside: []string{"github.com/labstack/echo/v4/...", "github.com/skip2/go-qrcode"}},
	"web/pages":    {ours: []string{"ledger", "storage", "activitypub", "web/oauth"}, outside: []string{"github.com/labstack/echo/v4/...", "github.com/skip2/go-qrcode"}},
	"web":          {ours: []string{"ledger", "storage/...", "activitypub", "web/..."}, outside: []string{"github.com/labstack/echo/v4/...", "github.com/prometheus/client_golang/...", "golang.org/x/time/rate"}},

	"cmd/planet": {
		ours:    []string{"ledger/...", "storage/...", "activitypub", "web/..."},
		outside: []string{"github.com/alecthomas/kong", "github.com/pelletier/go-toml/v2", "golang.org/x/sync/errgroup"},
	},
}

// rule is one law of the layout with a snippet that breaks it.
type rule struct {
	name  string
	check func([]*source) []string
	bad   map[string]string // files that break the rule
	want  string            // part of the finding that they must cause
	good  map[string]string // files that look alike and keep it
}

var rules = []rule{
	{
		name: "imports keep to the table", check: checkImports,
		bad:  map[string]string{"ledger/a.go": `package ledger; import "os"`, "storage/a.go": `package storage; import "planet/activitypub"`, "web/pages/a.go": `package pages; import "gorm.io/gorm"`, "cmd/planet/a.go": `package main; import "planet/storage/storagetest"`, "web/rooms/a.go": `package rooms`},
		want: "ledger/a.go:1: os|storage/a.go:1: planet/activitypub|web/pages/a.go:1: gorm.io/gorm|cmd/planet/a.go:1: planet/storage/storagetest|web/rooms/a.go:1: web/rooms has no row",
		good: map[string]string{"storage/a.go": `package storage; import ("os"; "gorm.io/gorm/clause")`, "storage/a_test.go": `package storage; import ("planet/storage/storagetest"; "pgregory.net/rapid")`},
	},
	{
		name: "no grab-bag packages", check: checkNames,
		bad:  map[string]string{"web/utils/a.go": `package utils`, "storage/b.go": `package models`},
		want: "web/utils/a.go:1: |storage/b.go:1: package models",
		good: map[string]string{"storage/shared.go": `package storage`},
	},
	{
		name: "every package says what it is for", check: checkPackageComments,
		bad:  map[string]string{"ledger/a.go": "package ledger", "ledger/a_test.go": "// Package ledger is tested.\npackage ledger"},
		want: "ledger: ",
		good: map[string]string{"ledger/a.go": "// Package ledger decides.\npackage ledger", "ledger/b.go": "package ledger"},
	},
	{
		name: "gofmt", check: checkFormat,
		bad:  map[string]string{"ledger/a.go": "package ledger\nvar  x = 1\n"},
		want: "ledger/a.go: ",
		good: map[string]string{"ledger/a.go": "package ledger\n\nvar x = 1\n"},
	},
	{
		name: "exported names have comments", check: checkComments,
		bad:  map[string]string{"ledger/a.go": "package ledger\n\nfunc Do() {}\n\ntype T int\n\nfunc (T) M() {}\n\nfunc (T) String() string { return \"\" }\n\nvar V = 1\n"},
		want: "ledger/a.go:3: Do|ledger/a.go:5: T|ledger/a.go:7: M|ledger/a.go:11: V",
		good: map[string]string{"ledger/a.go": "package ledger\n\n// Do does.\nfunc Do() {}\n\n// States.\nconst (\n\tA = 1\n\tB = 2\n)\n\ntype t int\n\nfunc (t) M() {}\n", "ledger/a_test.go": "package ledger\n\nfunc TestX() {}\n"},
	},
	{
		name: "nothing panics on purpose", check: checkPanic,
		bad:  map[string]string{"ledger/a.go": "package ledger\n\nfunc f() { panic(1) }\n"},
		want: "ledger/a.go:3: ",
		good: map[string]string{"ledger/a_test.go": "package ledger\n\nfunc f() { panic(1) }\n", "ledger/b.go": "package ledger // panic("},
	},
	{
		name: "two files own the clock", check: checkClock,
		bad:  map[string]string{"web/a.go": "package web\n\nimport clock \"time\"\n\nvar f = clock.Now\n\nvar g = clock.Since(clock.Time{})\n"},
		want: "web/a.go:5: |web/a.go:7: ",
		good: map[string]string{"storage/storage.go": "package storage\n\nimport \"time\"\n\nvar f = time.Now\n", "web/a.go": "package web\n\nvar time struct{ Now int }\n\nvar x = time.Now\n"},
	},
	{
		name: "one file opens connections", check: checkNetwork,
		bad:  map[string]string{"activitypub/a.go": "package activitypub\n\nimport (\n\t\"net\"\n\t\"net/http\"\n)\n\nvar c = &http.Client{}\n\nvar d net.Dialer\n\nvar g = http.Get\n\nvar t = http.DefaultTransport\n\nvar e = new(http.Client)\n"},
		want: "activitypub/a.go:8: |activitypub/a.go:10: |activitypub/a.go:12: |activitypub/a.go:14: |activitypub/a.go:16: ",
		good: map[string]string{"activitypub/fetch.go": "package activitypub\n\nimport \"net/http\"\n\nvar c = &http.Client{}\n", "activitypub/b.go": "package activitypub\n\nimport \"net/http\"\n\nvar c *http.Client\n"},
	},
	{
		name: "SQL is constant", check: checkSQL,
		bad:  map[string]string{"storage/a.go": "package storage\n\nfunc f(q db, col string) {\n\tq.Order(col)\n\tq.Joins(\"x\" + col)\n\tq.Select(\"a\", col)\n\tq.Raw(fmt.Sprintf(\"%s\", col))\n\tq.Where(\"a = \" + col)\n\tq.Where(fmt.Sprintf(\"a = %s\", col))\n}\n", "storage/b.go": "package storage\n\nfunc g(db *DB, sql string) {\n\tdb.one(ctx, sql, nil)\n\tdb.run(ctx, \"a\"+sql)\n\tdb.each(ctx, sql, nil, nil)\n}\n"},
		want: "storage/a.go:4: |storage/a.go:5: |storage/a.go:6: |storage/a.go:7: |storage/a.go:8: |storage/a.go:9: |storage/b.go:4: |storage/b.go:5: |storage/b.go:6: ",
		good: map[string]string{"storage/a.go": "package storage\n\nconst newest = \"id DESC\"\n\nfunc f(q db, v string) {\n\tconst t = \"a\"\n\tq.Order(newest)\n\tq.Joins(\"x ON \"+t+\" = ?\", v)\n\tq.Select(\"a\", \"b\")\n\tq.Raw(`SELECT ?`, v)\n\tdb.one(ctx, \"SELECT ?\", []any{v}, &v)\n\tq.Where(\"a = ?\", v)\n}\n"},
	},
	{
		name: "no build tags", check: checkTags,
		bad:  map[string]string{"storage/a.go": "//go:build linux\n\npackage storage\n"},
		want: "storage/a.go: ",
		good: map[string]string{"storage/a.go": "// Package storage is not //go:build.\npackage storage\n"},
	},
	{
		name: "a test that may skip must be forced in CI", check: checkSkips,
		bad:  map[string]string{"storage/a_test.go": "package storage\n\nfunc f(t T) { t.Skip(\"later\") }\n"},
		want: "storage/a_test.go:3: ",
		good: map[string]string{"storage/a_test.go": "package storage\n\nfunc f(t T) {\n\tif getenv(\"PLANET_TEST_ALL\") == \"\" {\n\t\tt.Skip(\"no server\")\n\t}\n}\n"},
	},
}

func TestLayout(t *testing.T) {
	sources := repository(t)
	if len(sources) < 10 {
		t.Fatalf("only %d Go files found: the walk is broken", len(sources))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, finding := range r.check(sources) {
				t.Error(finding)
			}
		})
	}
}

func TestRulesCanFail(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			found := r.check(parse(t, r.bad))
			wants := strings.Split(r.want, "|")
			if len(found) != len(wants) {
				t.Errorf("got %d findings, want %d: %q", len(found), len(wants), found)
			}
			for _, want := range wants {
				if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, want) }) {
					t.Errorf("no finding starts with %q; got %q", want, found)
				}
			}
			if found := r.check(parse(t, r.good)); len(found) != 0 {
				t.Errorf("good code was refused: %q", found)
			}
		})
	}
}

// The top level is fixed, so that a newcomer finds every room at a glance.
func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(filepath.FromSlash("../.."))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.FromSlash("../../.gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, finding := range checkTop(names, string(ignored)) {
		t.Error(finding)
	}
	if got := checkTop([]string{"cmd", "pkg", "go.mod", ".ci", "planet-data", "notes.txt"}, "/planet-data/\n"); len(got) != 2 {
		t.Errorf("pkg and notes.txt should be refused, and nothing else; got %q", got)
	}
}

// docs/architecture.md shows the import table to people; it may not fall behind the one that is enforced.
func TestImportTableIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for dir, r := range rooms {
		if !strings.Contains(string(text), "`"+dir+"`") {
			t.Errorf("docs/architecture.md has no row for %s", dir)
		}
		for _, lib := range r.outside {
			lib = strings.TrimSuffix(lib, "/...")
			if !strings.Contains(string(text), lib) {
				t.Errorf("docs/architecture.md does not name %s, which %s may import", lib, dir)
			}
		}
	}
}

func checkTop(names []string, gitignore string) []string {
	allowed := []string{"cmd", "activitypub", "ledger", "storage", "web", "docs", "go.mod", "go.sum", "LICENSE", "README.md", "FEDERATION.md"}
	for _, line := range strings.Split(gitignore, "\n") {
		allowed = append(allowed, strings.Trim(strings.TrimSpace(line), "/"))
	}
	var found []string
	for _, name := range names {
		if !strings.HasPrefix(name, ".") && !slices.Contains(allowed, name) {
			found = append(found, name+" does not belong at the top level: see docs/architecture.md")
		}
	}
	return found
}

func checkImports(sources []*source) []string {
	var found []string
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		r, ok := rooms[s.dir()]
		if !ok {
			found = append(found, fmt.Sprintf("%s: %s has no row in the import table", s.at(s.tree), s.dir()))
			continue
		}
		for _, spec := range s.tree.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				found = append(found, fmt.Sprintf("%s: %v", s.at(spec), err))
				continue
			}
			if ours, is := strings.CutPrefix(p, "planet/"); is {
				if !within(ours, r.ours) && ours != s.dir() {
					found = append(found, fmt.Sprintf("%s: %s may not be imported by %s", s.at(spec), p, s.dir()))
				} else if slices.Contains(testSupport, ours) && !s.exempt() {
					found = append(found, fmt.Sprintf("%s: %s is for tests alone", s.at(spec), p))
				}
				continue
			}
			first, _, _ := strings.Cut(p, "/")
			switch {
			case strings.Contains(first, "."):
				if !within(p, r.outside) {
					found = append(found, fmt.Sprintf("%s: %s may not be imported by %s", s.at(spec), p, s.dir()))
				}
			case within(p, r.banned), within(p, []string{"testing/..."}) && !s.exempt():
				found = append(found, fmt.Sprintf("%s: %s may not be imported by %s", s.at(spec), p, s.dir()))
			}
		}
	}
	return found
}

// within reports whether p is in the list, where "x/..." stands for x and everything below it.
func within(p string, list []string) bool {
	for _, entry := range list {
		if root, tree := strings.CutSuffix(entry, "/..."); p == entry || tree && (p == root || strings.HasPrefix(p, root+"/")) {
			return true
		}
	}
	return false
}

var grabBags = []string{"util", "utils", "common", "helper", "helpers", "misc", "model", "models", "type", "types", "base", "shared", "core"}

func checkNames(sources []*source) []string {
	var found []string
	for _, s := range sources {
		name := strings.TrimSuffix(s.tree.Name.Name, "_test")
		if slices.Contains(grabBags, name) || slices.Contains(grabBags, path.Base(s.dir())) {
			found = append(found, fmt.Sprintf("%s: package %s is a grab bag: name it after its noun", s.at(s.tree), name))
		}
	}
	return found
}

func checkPackageComments(sources []*source) []string {
	documented := map[string]bool{}
	for _, s := range sources {
		if !s.isTest() {
			documented[s.dir()] = documented[s.dir()] || s.tree.Doc != nil
		}
	}
	var found []string
	for dir, ok := range documented {
		if !ok {
			found = append(found, dir+": the package has no comment that says what it is for")
		}
	}
	sort.Strings(found)
	return found
}

func checkFormat(sources []*source) []string {
	var found []string
	for _, s := range sources {
		formatted, err := format.Source(s.text)
		if err != nil {
			found = append(found, fmt.Sprintf("%s: %v", s.path, err))
		} else if !bytes.Equal(formatted, s.text) {
			found = append(found, s.path+": not formatted: run gofmt -w")
		}
	}
	return found
}

// wellKnown methods do what the standard library says of them.
var wellKnown = []string{"Error", "Unwrap", "Is", "String", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "Scan", "Value"}

func checkComments(sources []*source) []string {
	var found []string
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		missing := func(id *ast.Ident) {
			found = append(found, fmt.Sprintf("%s: %s is exported and has no comment", s.at(id), id.Name))
		}
		for _, d := range s.tree.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d)) && !slices.Contains(wellKnown, d.Name.Name)) {
					missing(d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
							missing(spec.Name)
						}
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							if id.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
								missing(id)
							}
						}
					}
				}
			}
		}
	}
	return found
}

// receiver names the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func checkPanic(sources []*source) []string {
	var found []string
	for _, s := range sources {
		if s.exempt() {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
					found = append(found, s.at(call)+": panic outside tests: return an error")
				}
			}
			return true
		})
	}
	return found
}

// clockFiles own the clock; everyone else asks DB.Now or Node.Now.
var clockFiles = []string{"storage/storage.go", "cmd/planet/serve.go"}

func checkClock(sources []*source) []string {
	var found []string
	for _, s := range sources {
		if s.exempt() || slices.Contains(clockFiles, s.path) {
			continue
		}
		s.uses(func(n ast.Node, pkg, name string) {
			if pkg == "time" && (name == "Now" || name == "Since" || name == "Until") {
				found = append(found, fmt.Sprintf("%s: time.%s: the clock belongs to %s", s.at(n), name, strings.Join(clockFiles, " and ")))
			}
		})
	}
	return found
}

func checkNetwork(sources []*source) []string {
	var found []string
	for _, s := range sources {
		if s.exempt() || s.path == "activitypub/fetch.go" {
			continue
		}
		pointers := map[ast.Node]bool{} // *http.Client as a type is how the one client is handed on
		ast.Inspect(s.tree, func(n ast.Node) bool {
			if star, ok := n.(*ast.StarExpr); ok {
				pointers[star.X] = true
			}
			return true
		})
		s.uses(func(n ast.Node, pkg, name string) {
			opens := strings.HasPrefix(name, "Dial") && name != "Dialector" // gorm's word for a dialect
			if pkg == "net/http" {
				opens = slices.Contains([]string{"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport"}, name) ||
					(name == "Client" || name == "Transport") && !pointers[n]
			}
			if opens {
				found = append(found, fmt.Sprintf("%s: %s.%s: connections are opened by activitypub/fetch.go alone", s.at(n), pkg, name))
			}
		})
	}
	return found
}

// uses calls f for every pkg.Name in the file whose pkg is an import; pkg is the import path.
func (s *source) uses(f func(n ast.Node, pkg, name string)) {
	imports := map[string]string{}
	for _, spec := range s.tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = p
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && imports[id.Name] != "" {
				f(sel, imports[id.Name], sel.Sel.Name)
			}
		}
		return true
	})
}

// checkSQL guards the arguments that gorm pastes into SQL as they are. A first argument is SQL; what follows it are values, save
// in Select and Group, where all are columns unless the first holds a placeholder.
func checkSQL(sources []*source) []string {
	constants := map[string]map[string]bool{}
	for _, s := range sources {
		if constants[s.dir()] == nil {
			constants[s.dir()] = map[string]bool{}
		}
		for _, d := range s.tree.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				note(g, constants[s.dir()])
			}
		}
	}
	var found []string
	for _, s := range sources {
		if s.exempt() || !strings.HasPrefix(s.path, "storage/") {
			continue
		}
		for _, d := range s.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			known := map[string]bool{}
			for name := range constants[s.dir()] {
				known[name] = true
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if g, ok := n.(*ast.GenDecl); ok {
					note(g, known)
				}
				return true
			})
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				args := call.Args[:1]
				switch sel.Sel.Name {
				case "Order", "Table", "Joins", "Raw":
					if _, ok := args[0].(*ast.FuncLit); ok {
						return true // database/sql's Conn.Raw
					}
				case "one", "run", "each": // of storage/plain.go: context, SQL, values
					if len(call.Args) < 2 || s.path == "storage/plain.go" {
						return true
					}
					args = call.Args[1:2]
				case "Select", "Group":
					if lit, ok := args[0].(*ast.BasicLit); !ok || !strings.Contains(lit.Value, "?") {
						args = call.Args
					}
				case "Where", "Or", "Not", "Having":
					// Structs and maps are fine here; only SQL that is put together is not.
					switch args[0].(type) {
					case *ast.BinaryExpr, *ast.CallExpr:
						if sprintf(args[0]) || isBinary(args[0]) {
							break
						}
						return true
					default:
						return true
					}
				default:
					return true
				}
				for _, a := range args {
					if !constant(a, known) {
						found = append(found, fmt.Sprintf("%s: %s takes SQL: only literals and constants may go there", s.at(call.Fun.(*ast.SelectorExpr).Sel), sel.Sel.Name))
						break
					}
				}
				return true
			})
		}
	}
	return found
}

func isBinary(e ast.Expr) bool {
	_, ok := e.(*ast.BinaryExpr)
	return ok
}

func sprintf(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && strings.HasPrefix(sel.Sel.Name, "Sprint")
}

// note adds the names of a const declaration to known.
func note(g *ast.GenDecl, known map[string]bool) {
	if g.Tok != token.CONST {
		return
	}
	for _, spec := range g.Specs {
		for _, id := range spec.(*ast.ValueSpec).Names {
			known[id.Name] = true
		}
	}
}

// constant reports whether e is a string literal, a named constant of the package, or a concatenation of these.
func constant(e ast.Expr, known map[string]bool) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.Ident:
		return known[e.Name]
	case *ast.ParenExpr:
		return constant(e.X, known)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && constant(e.X, known) && constant(e.Y, known)
	default:
		return false
	}
}

func checkTags(sources []*source) []string {
	var found []string
	for _, s := range sources {
		for _, line := range strings.Split(string(s.text), "\n") {
			if strings.HasPrefix(line, "//go:build") || strings.HasPrefix(line, "// +build") {
				found = append(found, s.path+": build tags are not used here: everything builds everywhere")
			}
		}
	}
	return found
}

func checkSkips(sources []*source) []string {
	var found []string
	for _, s := range sources {
		if strings.Contains(string(s.text), "PLANET_TEST_ALL") {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					found = append(found, s.at(call)+": a skip must turn into a failure when PLANET_TEST_ALL is set")
				}
			}
			return true
		})
	}
	return found
}

// repository parses every Go file of the repository, testdata and node_modules aside.
func repository(t *testing.T) []*source {
	t.Helper()
	root := os.DirFS(filepath.FromSlash("../.."))
	files := map[string]string{}
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && p != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(p, ".go") {
			text, err := fs.ReadFile(root, p)
			if err != nil {
				return err
			}
			files[p] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, files)
}

func parse(t *testing.T, files map[string]string) []*source {
	t.Helper()
	fset := token.NewFileSet()
	var sources []*source
	for p, text := range files {
		tree, err := parser.ParseFile(fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, &source{path: p, text: []byte(text), tree: tree, fset: fset})
	}
	sort.Slice(sources, func(i, j int) bool { return sources[i].path < sources[j].path })
	return sources
}
