package main

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lastCase is the number of the last row in the table of docs/ledger.md.
const lastCase = 75

// otherParts are what a row may say in place of a test.
var otherParts = []string{"later"}

// TestEveryCaseOfTheLedgerHasATest holds the table of what can go wrong with money (docs/ledger.md) to the tests: each row names one that is there, or
// the part of the work that brings it.
func TestEveryCaseOfTheLedgerHasATest(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../docs/ledger.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range checkLedgerTable(string(text), repository(t)) {
		t.Error(finding)
	}
}

func TestARowOfTheLedgerWithoutATestIsFound(t *testing.T) {
	sources := parse(t, map[string]string{"a/a_test.go": "package a\n\nfunc TestF01Replay(t T) {}\n\nfunc TestF03Twice(t T) {}\n\nfunc TestF76(t T) {}\n", "a/a.go": "package a\n\nfunc TestF05() {}\n"})
	table := "| F01 | a | b | `TestF01` |\n| F02 | a | b | `TestF02` |\n| F03 | a | b | later |\n| F04 | a | b | part: payments between nodes |\n| F05 | a | b | `TestF05` |\n| F06 | a | b |  |\n" +
		"| F07 | a | b | soon |\n| F07 | a | b | later |\n| F08 | a |  | later |\n| F09 | a | b | `TestF01` |\n| F10 | a | b | `TestF10` |\n"
	found := checkLedgerTable(table, sources)
	for id, bad := range map[string]bool{"F01": false, "F02": true, "F03": true, "F04": true, "F05": true, "F06": true, "F07": true, "F08": true, "F09": true, "F10": true, "F11": true, "F75": true, "F76": true} {
		if got := slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, id) }); got != bad {
			t.Errorf("%s: found %t, want %t", id, got, bad)
		}
	}
}

var (
	tableRow   = regexp.MustCompile(`^\| (F[0-9]{2}) \|(.*)\|(.*)\| *(.*?) *\|$`)
	tableTest  = regexp.MustCompile("^`(TestF[0-9]{2})`$")
	ledgerCase = regexp.MustCompile(`^TestF[0-9]{2}`)
)

func checkLedgerTable(text string, sources []*source) (found []string) {
	tests := map[string]bool{}
	for _, s := range sources {
		if !s.isTest() {
			continue
		}
		for _, d := range s.tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				if id := ledgerCase.FindString(f.Name.Name); id != "" {
					tests[id] = true
				}
			}
		}
	}
	rows := map[string]string{}
	for line := range strings.Lines(text) {
		m := tableRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		id, said := m[1], m[4]
		if _, twice := rows[id]; twice {
			found = append(found, id+" has two rows")
		}
		rows[id] = said
		if strings.TrimSpace(m[2]) == "" || strings.TrimSpace(m[3]) == "" {
			found = append(found, id+" does not say what the case is, and what happens")
		}
		test := tableTest.FindStringSubmatch(said)
		switch {
		case slices.Contains(otherParts, said):
			if tests["Test"+id] {
				found = append(found, id+" has a test by now: name it")
			}
		case test == nil:
			found = append(found, fmt.Sprintf("%s says %q: want the beginning of a test's name, or one of %q", id, said, otherParts))
		case test[1] != "Test"+id:
			found = append(found, id+" names the test of another case")
		case !tests[test[1]]:
			found = append(found, id+" names a test that does not exist: no name of one begins with "+test[1])
		}
	}
	for n := range lastCase {
		if id := fmt.Sprintf("F%02d", n+1); rows[id] == "" {
			found = append(found, id+" has no row that says how it is tested")
		}
	}
	for id := range tests {
		if _, ok := rows[strings.TrimPrefix(id, "Test")]; !ok {
			found = append(found, strings.TrimPrefix(id, "Test")+" has a test and no row")
		}
	}
	return found
}
