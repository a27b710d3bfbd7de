package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// abuseCases are the numbered abuse cases that this node must answer (docs/security.md says what and where): "a-b" is every
// number from a to b. A number that is missing has no case.
var abuseCases = map[string]string{
	"SIG": "1-11 13-17 19-22 24-31 33-38 40-45 47",
	"IDN": "48-55 57-62 64-78",
	"FET": "79 80 82-86 88-101 103-117",
	"ACT": "118-122 124-126 128 129 131-163 165 166 168-170",
	"FLO": "171-181",
	"XSS": "182 183 185-192",
	"MED": "193-202",
	"OAU": "203-206 208-213 215 216 218-224",
	"SES": "225-240",
	"ADM": "241-247",
	"WEB": "257-260 262-265 267-269",
	"INJ": "248-256",
	"PAY": "270 272-292 294 295 297-310",
	"REL": "311 312 315-323",
}

// laterCases wait for something to test. One that gets its test is taken off this list; the test below sees to it.
var laterCases = map[string]string{
	"INJ256": "programs for media",
	"OAU222": "signing in by another service", "SES233": "links by mail", "SES236": "a second factor", "SES239": "mail",
	"PAY298": "addresses to pay at", "PAY303": "sessions that pay",
	"PAY300": "calls to others' programs", "PAY304": "a second person for what admins do", "PAY307": "backups of nodes that pay", "PAY309": "clocks that are moved",
}

// TestEveryAbuseCaseHasATest holds the tests to the list: each number is carried by the name of a test or of a part of one,
// as in TestSIG009ARequestThatIsReplayed or t.Run("SIG009 replayed", …).
func TestEveryAbuseCaseHasATest(t *testing.T) {
	for _, finding := range checkCases(repository(t)) {
		t.Error(finding)
	}
}

func TestACaseWithoutATestIsFound(t *testing.T) {
	all := allCases()
	text := "package a\n\nfunc TestSIG001SIG002(t T) {\n\tt.Run(\"SIG003 and more\", nil)\n\tt.Log(\"see SIG004\")\n\t// SIG005\n\tt.Run(\"SIG999 nobody asked for\", nil)\n\tt.Run(\"INJ256 too early\", nil)\n}\n"
	found := checkCases(parse(t, map[string]string{"a/a_test.go": text, "a/b.go": "package a\n\nvar x = \"SIG006\"\n"}))
	for _, id := range []string{"SIG001", "SIG002", "SIG003"} {
		if slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, id) }) {
			t.Errorf("%s has a test and was not seen", id)
		}
	}
	for _, id := range []string{"SIG004", "SIG005", "SIG006", "SIG999", "INJ256"} {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, id) }) {
			t.Errorf("%s has no finding", id)
		}
	}
	if want := len(all) - len(laterCases) - 3 + 2; len(found) != want {
		t.Errorf("%d findings, want %d", len(found), want)
	}
}

// allCases are the ids of abuseCases in the form in which tests carry them.
func allCases() map[string]bool {
	all := map[string]bool{}
	for group, ranges := range abuseCases {
		for r := range strings.FieldsSeq(ranges) {
			from, to, isRange := strings.Cut(r, "-")
			first, _ := strconv.Atoi(from)
			last := first
			if isRange {
				last, _ = strconv.Atoi(to)
			}
			for n := first; n <= last; n++ {
				all[fmt.Sprintf("%s%03d", group, n)] = true
			}
		}
	}
	return all
}

var caseID = regexp.MustCompile(`(SIG|IDN|FET|ACT|FLO|XSS|MED|OAU|SES|ADM|INJ|WEB|PAY|REL)[0-9]{3}`)

// checkCases compares the list with what the tests carry: in names of test functions, and at the start of strings.
func checkCases(sources []*source) (found []string) {
	carried := map[string]string{}
	for _, s := range sources {
		if !s.isTest() || s.path == "cmd/planet/abuse_test.go" {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			name := ""
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && strings.HasPrefix(n.Name.Name, "Test") {
					name = strings.TrimPrefix(n.Name.Name, "Test")
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					name, _ = strconv.Unquote(n.Value)
				}
			}
			for id := caseID.FindStringIndex(name); id != nil && id[0] == 0; id = caseID.FindStringIndex(name) {
				carried[name[:id[1]]] = s.at(n)
				name = strings.TrimLeft(name[id[1]:], " ,")
			}
			return true
		})
	}
	all := allCases()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		_, tested := carried[id]
		switch why, later := laterCases[id]; {
		case later && tested:
			found = append(found, id+" has a test by now: take it off laterCases")
		case !later && !tested:
			found = append(found, id+" has no test that carries its number")
		case later && why == "":
			found = append(found, id+" is left for later without a reason")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(carried)) {
		if !all[id] {
			found = append(found, id+" is no case of the list, at "+carried[id])
		}
	}
	return found
}
