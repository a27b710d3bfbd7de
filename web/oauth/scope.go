package oauth

import (
	"slices"
	"strings"
)

// Payments is the scope of what moves value. No other scope contains it.
const Payments = "payments"

// narrow are the parts of read and write that an app may ask for alone.
var narrow = map[string][]string{
	"read": {"accounts", "blocks", "bookmarks", "favourites", "filters", "follows", "lists", "mutes", "notifications", "search", "statuses"},
	"write": {"accounts", "blocks", "bookmarks", "conversations", "favourites", "filters", "follows", "lists", "media", "mutes", "notifications", "reports",
		"statuses"},
}

// legacyFollow is what the scope follow has meant since Mastodon 1.
var legacyFollow = []string{"read:blocks", "write:blocks", "read:follows", "write:follows", "read:mutes", "write:mutes"}

// Scopes is what a token may do, or an app may ask for.
type Scopes []string

// ParseScopes reads scopes with spaces (or, as some apps write them, plus signs) between. ok is false when one is unknown. What is said twice is kept once.
func ParseScopes(text string) (s Scopes, ok bool) {
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '+' }) {
		top, part, parted := strings.Cut(name, ":")
		switch {
		case !parted && slices.Contains([]string{"read", "write", "follow", "push", "profile", Payments}, name):
		case parted && slices.Contains(narrow[top], part):
		case name == "admin:read", name == "admin:write": // test suites register with them; no route of ours asks for them
		default:
			return nil, false
		}
		if !slices.Contains(s, name) {
			s = append(s, name)
		}
	}
	return s, true
}

func (s Scopes) String() string { return strings.Join(s, " ") }

// Allow reports whether a scope is among these, or within one of them.
func (s Scopes) Allow(name string) bool {
	if slices.Contains(s, name) {
		return true
	}
	if name == "profile" { // her name and picture: whoever may read accounts knows them
		return s.Allow("read:accounts")
	}
	top, _, parted := strings.Cut(name, ":")
	return parted && (slices.Contains(s, top) || slices.Contains(s, "follow") && slices.Contains(legacyFollow, name))
}

// AllowAll reports whether all of others are within these.
func (s Scopes) AllowAll(others Scopes) bool {
	for _, o := range others {
		if o == "follow" && !slices.Contains(s, "follow") {
			if !s.AllowAll(legacyFollow) {
				return false
			}
		} else if !s.Allow(o) {
			return false
		}
	}
	return true
}

// Words says in plain words what scopes let an app do, one line each, what is gravest last.
func (s Scopes) Words() []string {
	var out []string
	say := func(on bool, words string) {
		if on {
			out = append(out, words)
		}
	}
	part := func(top string) (names []string) {
		for _, n := range s {
			if t, p, parted := strings.Cut(n, ":"); parted && t == top {
				names = append(names, p)
			}
		}
		return names
	}
	say(slices.Contains(s, "profile") && !slices.Contains(s, "read"), "see your name and your picture")
	say(slices.Contains(s, "read"), "read everything that you can read here, also what only you and your contacts see")
	if names := part("read"); len(names) > 0 && !slices.Contains(s, "read") {
		out = append(out, "read your "+strings.Join(names, ", "))
	}
	say(slices.Contains(s, "write"), "write, change and delete in your name: posts, likes, follows, your profile")
	if names := part("write"); len(names) > 0 && !slices.Contains(s, "write") {
		out = append(out, "change your "+strings.Join(names, ", "))
	}
	say(slices.Contains(s, "follow") && !slices.Contains(s, "write"), "follow, mute and block in your name")
	say(slices.Contains(s, "push"), "be told of your notifications")
	say(slices.Contains(s, Payments), "PAY with your money, and ask others for money, in your name")
	return out
}
