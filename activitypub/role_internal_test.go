package activitypub

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"planet/storage"
)

// docs/coops.md shows the table to people; it may not fall behind the one that is enforced.
func TestTheTableOfRolesIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../docs/coops.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| act | " + strings.Join(storage.Roles, " | ") + " | limit | what it is |\n|---" + strings.Repeat("|---", len(storage.Roles)+2) + "|\n")
	for _, r := range rights {
		want.WriteString("| `" + r.act + "` |")
		for _, role := range storage.Roles {
			if slices.Contains(r.roles, role) {
				want.WriteString(" yes |")
			} else {
				want.WriteString(" – |")
			}
		}
		if r.limit == noLimit {
			want.WriteString(" – |")
		} else {
			want.WriteString(" " + string(r.limit) + " |")
		}
		want.WriteString(" " + r.words + " |\n")
	}
	if !strings.Contains(string(text), want.String()) {
		t.Errorf("docs/coops.md does not have the table:\n%s", want.String())
	}
}

func TestEveryActHasOneLine(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rights {
		if seen[r.act] || r.words == "" || len(r.roles) == 0 {
			t.Errorf("%+v", r)
		}
		seen[r.act] = true
		for _, role := range r.roles {
			if !slices.Contains(storage.Roles, role) {
				t.Errorf("%s is for %q, which is no role", r.act, role)
			}
		}
	}
}

// Rights hands the table to the tests outside the package.
func Rights() (acts []string, roles map[string][]string, limits map[string]string) {
	roles, limits = map[string][]string{}, map[string]string{}
	for _, r := range rights {
		acts = append(acts, r.act)
		roles[r.act], limits[r.act] = r.roles, string(r.limit)
	}
	return acts, roles, limits
}

// Allowed and AllowedAbout hand the checks to the tests outside the package.
var (
	Allowed      = (*Node).allowed
	AllowedAbout = (*Node).allowedAbout
)
