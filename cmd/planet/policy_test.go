package main

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"planet/storage"
)

// asItIs is a form for domains that refuses what has a space.
func asItIs(s string) (string, error) {
	if strings.ContainsAny(s, " <") {
		return "", errors.New(strconv.Quote(s) + " is no name")
	}
	return strings.ToLower(s), nil
}

func TestADM247AListOfServersIsReadWithinBounds(t *testing.T) {
	for _, c := range []struct {
		name, text, kind string
		rules            string // DOMAIN=KIND, in order
		skipped, bad     int
		err              string
	}{
		{"mastodon", "#domain,#severity,#public_comment\nA.example,suspend,spam\nb.example,silence,\nc.example,noop,\n", "", "a.example=block b.example=silence", 1, 0, ""},
		{"columns in another order", "#domain,#public_comment,#severity\na.example,spam,silence\n", "", "a.example=silence", 0, 0, ""},
		{"a byte order mark and CRLF", "\ufeff#domain,#severity\r\na.example,suspend\r\n", "", "a.example=block", 0, 0, ""},
		{"a comment with a comma, a quote and a line break", "#domain,#severity,#public_comment\na.example,suspend,\"one, \"\"two\"\"\nthree\"\nb d,suspend,\n", "", "a.example=block", 0, 1, ""},
		{"plain", "# friends\na.example\n\nb.example\na.example\n", "allow", "a.example=allow b.example=allow", 1, 0, ""},
		{"plain, to block", "a.example\n", "", "a.example=block", 0, 0, ""},
		{"no severity", "#domain\na.example\n", "", "", 0, 0, "--kind"},
		{"no severity, but said", "#domain\na.example\n", "silence", "a.example=silence", 0, 0, ""},
		{"a severity that is empty", "#domain,#severity\na.example,\n", "", "", 0, 1, ""},
		{"a quote that does not end", "#domain,#severity\n\"a.example,suspend\nb.example,suspend\n", "", "", 0, 1, ""},
		{"regular expressions and HTML", "^(.*\\.)?bad \\.example$\n<script>alert(1)</script>\n", "", "", 0, 2, ""},
		{"too many lines", strings.Repeat("a.example\n", maxDomainLines+1), "", "", 0, 0, "more than 100000 lines"},
		{"too many bytes", strings.Repeat("a", maxDomainBytes+2), "", "", 0, 0, "more than 10.0 MB"},
		{"an endless comment", "#domain,#severity,#public_comment\na.example,suspend,\"" + strings.Repeat("x\n", maxDomainBytes), "", "", 0, 0, "more than 10.0 MB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := readDomains(strings.NewReader(c.text), c.kind, asItIs)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want an error about %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var rules []string
			for _, r := range list.rules {
				rules = append(rules, r.Domain+"="+r.Kind)
			}
			if got := strings.Join(rules, " "); got != c.rules || list.skipped != c.skipped || len(list.bad) != c.bad {
				t.Errorf("got %q, %d skipped, bad %q; want %q, %d, %d", got, list.skipped, list.bad, c.rules, c.skipped, c.bad)
			}
		})
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	list, err := readDomains(strings.NewReader("#domain,#severity,#public_comment\na.example,suspend,\"two\nlines\"\nb d,suspend,\nc.example,hush,\na.example,silence,\n"), "", asItIs)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`line 4: "b d" is no name`, `line 5: "hush" is not suspend, silence or noop`, "line 6: a.example is there as block already"}
	if strings.Join(list.bad, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", list.bad, want)
	}
	if list.rules[0].Reason != "two\nlines" {
		t.Errorf("reason %q", list.rules[0].Reason)
	}
}

func TestXSS192WhatOthersWroteDoesNotSteerTheTerminal(t *testing.T) {
	if got, want := printable("a\x1b[2Jb\u009bc\u202ed\te\nf"), "a [2Jb c d e f"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnAnswerIsChosenByItsTextOrItsNumber(t *testing.T) {
	options := []storage.PollOption{{Name: "Rye"}, {Name: "1"}, {Name: "Spelt & oats"}}
	for s, want := range map[string]int{"rye": 0, " Rye ": 0, "1": 1, "2": 1, "3": 2, "0": -1, "4": -1, "-1": -1, "": -1, "Wheat": -1} {
		if got := choice(options, s); got != want {
			t.Errorf("%q: got %d, want %d", s, got, want)
		}
	}
}
