package proof

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestTilePaths(t *testing.T) {
	for path, tile := range map[string]Tile{
		"tile/0/000":                           {0, 0, 256},
		"tile/0/x001/x234/067":                 {0, 1234067, 256}, // the example of C2SP tlog-tiles
		"tile/0/273.p/112":                     {0, 273, 112},     // of a log of 70,000 leaves, likewise
		"tile/1/001.p/17":                      {1, 1, 17},
		"tile/2/000.p/1":                       {2, 0, 1},
		"tile/63/999":                          {63, 999, 256},
		"tile/7/x001/000.p/255":                {7, 1000, 255},
		"tile/entries/x001/x234/067":           {Entries, 1234067, 256},
		"tile/entries/000.p/1":                 {Entries, 0, 1},
		"tile/0/x004/x503/x599/x627/x370/495":  {0, 1<<52 - 1, 256},
		"tile/0/x004/x503/x599/x627/x370/496":  {-2, 0, 0}, // refused from here on
		"tile/0/x999/x999/x999/x999/x999/999":  {-2, 0, 0},
		"tile/0/x009/x223/x372/x036/x854/x775": {-2, 0, 0},
		"tile/0/":                              {-2, 0, 0},
		"tile/0/0":                             {-2, 0, 0},
		"tile/0/00":                            {-2, 0, 0},
		"tile/0/0000":                          {-2, 0, 0},
		"tile/0/+01":                           {-2, 0, 0},
		"tile/0/x000/001":                      {-2, 0, 0},
		"tile/0/x001":                          {-2, 0, 0},
		"tile/0/001/234":                       {-2, 0, 0},
		"tile/0/x001/1":                        {-2, 0, 0},
		"tile/00/001":                          {-2, 0, 0},
		"tile/64/001":                          {-2, 0, 0},
		"tile/-1/001":                          {-2, 0, 0},
		"tile/data/001":                        {-2, 0, 0},
		"tile/8/0/001":                         {-2, 0, 0},
		"tile/0/001.p/0":                       {-2, 0, 0},
		"tile/0/001.p/01":                      {-2, 0, 0},
		"tile/0/001.p/256":                     {-2, 0, 0},
		"tile/0/001.p/":                        {-2, 0, 0},
		"tile/0/001.p/1/":                      {-2, 0, 0},
		"tile/0/001.p/1.p/1":                   {-2, 0, 0},
		"/tile/0/001":                          {-2, 0, 0},
		"tile/0/001/":                          {-2, 0, 0},
		"tile/0/../001":                        {-2, 0, 0},
		"0/001":                                {-2, 0, 0},
		"":                                     {-2, 0, 0},
	} {
		got, err := ParseTile(path)
		if tile.Level == -2 {
			want(t, path, err, ErrMalformed)
			continue
		}
		if err != nil || got != tile || tile.Path() != path {
			t.Errorf("%s: got %+v, %v, and %+v is %q", path, got, err, tile, tile.Path())
		}
	}
	for _, tile := range []Tile{{-2, 0, 1}, {64, 0, 1}, {0, -1, 1}, {0, math.MaxInt64, 1}, {0, 0, 0}, {0, 0, 257}, {0, 0, -1}} {
		if got := tile.Path(); got != "" || tile.In(MaxSize) {
			t.Errorf("%+v has the path %q", tile, got)
		}
	}
}

func TestWhichTilesALogHas(t *testing.T) {
	if got, want := Partial(70000), []Tile{{0, 273, 112}, {1, 1, 17}, {2, 0, 1}}; !slices.Equal(got, want) {
		t.Errorf("70,000 leaves: got %v, want %v", got, want)
	}
	if got, want := Partial(256), []Tile{{1, 0, 1}}; !slices.Equal(got, want) {
		t.Errorf("256 leaves: got %v, want %v", got, want)
	}
	if got := slices.Collect(Filled(0, 70000)); len(got) != 273+1 || got[272] != (Tile{0, 272, 256}) || got[273] != (Tile{1, 0, 256}) {
		t.Errorf("70,000 leaves: got %d full tiles, the last is %v", len(got), got[len(got)-1])
	}
	for _, c := range []struct {
		m, n int64
		want []Tile
	}{
		{0, 0, nil},
		{0, 255, nil},
		{0, 256, []Tile{{0, 0, 256}}},
		{255, 256, []Tile{{0, 0, 256}}},
		{256, 511, nil},
		{256, 512, []Tile{{0, 1, 256}}},
		{65535, 65536, []Tile{{0, 255, 256}, {1, 0, 256}}},
		{300, 200, nil},
		{600, 0, nil},
		{-1000, 1000, nil},
		{MaxSize, math.MaxInt64, nil},
		{MaxSize - 1, MaxSize, []Tile{{0, 1<<52 - 1, 256}, {1, 1<<44 - 1, 256}, {2, 1<<36 - 1, 256}, {3, 1<<28 - 1, 256}, {4, 1<<20 - 1, 256}, {5, 1<<12 - 1, 256}, {6, 15, 256}}},
	} {
		if got := slices.Collect(Filled(c.m, c.n)); !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: got %v, want %v", c.m, c.n, got, c.want)
		}
	}
	for range Filled(0, MaxSize) { // 2^52 of them
		break
	}
	for _, n := range []int64{-1, 0, MaxSize + 1, math.MaxInt64} {
		if got := Partial(n); got != nil {
			t.Errorf("size %d: got %v", n, got)
		}
	}
	for _, tile := range []Tile{{0, 273, 112}, {0, 272, 256}, {Entries, 273, 112}, {1, 1, 17}, {2, 0, 1}} {
		if !tile.In(70000) {
			t.Errorf("70,000 leaves have no %s", tile.Path())
		}
	}
	for _, tile := range []Tile{{0, 273, 113}, {0, 273, 256}, {Entries, 273, 113}, {1, 1, 18}, {2, 0, 2}, {3, 0, 1}, {63, 0, 1}} {
		if tile.In(70000) || tile.In(-1) || tile.In(MaxSize+1) {
			t.Errorf("70,000 leaves have %s", tile.Path())
		}
	}
}

// check holds a tree of tiles against the reference in all it can tell, for the given leaves and older sizes.
func check(t *testing.T, l *ledger, reference stored, size int64, indexes, olders []int64) {
	t.Helper()
	tree := l.tree(size)
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := tlog.TreeHash(size, reference); err != nil || root != want {
		t.Fatalf("size %d: got root %s, want %s", size, root, want)
	}
	if f, err := tree.Frontier(); err != nil || f.Root() != root || f.Size() != size {
		t.Fatalf("size %d: the frontier read from tiles has another root: %v", size, err)
	}
	for _, i := range indexes {
		got, err := tree.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := tlog.ProveRecord(size, i, reference); err != nil || !slices.Equal(got, want) {
			t.Fatalf("size %d, leaf %d: got %v, want %v", size, i, got, want)
		}
		if err := tlog.CheckRecord(got, size, root, i, LeafHash(l.leaves[i])); err != nil {
			t.Fatalf("size %d, leaf %d: %v", size, i, err)
		}
	}
	for _, older := range olders {
		got, err := tree.ProveOlder(older)
		if err != nil {
			t.Fatal(err)
		}
		was, err := l.tree(older).Root()
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckConsistent(Checkpoint{grain, older, was}, Checkpoint{grain, size, root}, got); err != nil {
			t.Fatal(err)
		}
		if older == 0 {
			continue
		}
		if want, err := tlog.ProveTree(size, older, reference); err != nil || !slices.Equal(got, want) {
			t.Fatalf("sizes %d and %d: got %v, want %v", older, size, got, want)
		}
	}
}

func TestProofsFromTilesAreThoseOfTheReference(t *testing.T) {
	const most = 66000
	var reference stored
	l := newLedger(t, grain)
	for n := range int64(most) {
		leaf := []byte{byte(n), byte(n >> 8), byte(n >> 16)}
		reference.add(t, n, leaf)
		l.log(leaf)
	}
	random := seeded(1)
	for size := int64(1); size <= 600; size++ {
		check(t, l, reference, size, []int64{0, random.Int64N(size), size - 1}, []int64{0, random.Int64N(size), size - 1, size})
	}
	for range 200 {
		size := 1 + random.Int64N(most)
		check(t, l, reference, size, []int64{random.Int64N(size)}, []int64{random.Int64N(size)})
	}
	check(t, l, reference, 65536, []int64{0, 255, 256, 65535}, []int64{1, 255, 256, 257, 65535})
	check(t, l, reference, 65537, []int64{0, 65535, 65536}, []int64{256, 65536})
}

func TestAProofFetchesEachTileOnce(t *testing.T) {
	l := newLedger(t, grain).pay(1000)
	tree := l.tree(1000)
	seen := map[Tile]int{}
	_, err := Tree{1000, func(level int, index int64, width int) ([]byte, error) {
		seen[Tile{level, index, width}]++
		return tree.Tiles(level, index, width)
	}}.Prove(300)
	if err != nil {
		t.Fatal(err)
	}
	want := map[Tile]int{{0, 1, 256}: 1, {0, 3, 232}: 1, {1, 0, 3}: 1}
	if len(seen) != len(want) {
		t.Errorf("got %v, want %v", seen, want)
	}
	for tile := range want {
		if seen[tile] != 1 {
			t.Errorf("%s was fetched %d times", tile.Path(), seen[tile])
		}
	}
}

func TestATreeOfBadTiles(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		tree Tree
		want error
	}{
		"a store that fails":    {Tree{1000, func(int, int64, int) ([]byte, error) { return nil, gone }}, gone},
		"a short tile":          {Tree{1000, func(_ int, _ int64, w int) ([]byte, error) { return make([]byte, 32*w-1), nil }}, ErrMalformed},
		"a long tile":           {Tree{1000, func(_ int, _ int64, w int) ([]byte, error) { return make([]byte, 32*w+32), nil }}, ErrMalformed},
		"no tile":               {Tree{1000, func(int, int64, int) ([]byte, error) { return nil, nil }}, ErrMalformed},
		"no store":              {Tree{1000, nil}, ErrMalformed},
		"a negative size":       {Tree{-1, newLedger(t, grain).tree(0).Tiles}, ErrMalformed},
		"a size without bounds": {Tree{math.MaxInt64, newLedger(t, grain).tree(0).Tiles}, ErrMalformed},
	} {
		_, err := c.tree.Root()
		want(t, name+": Root", err, c.want)
		_, err = c.tree.Prove(3)
		want(t, name+": Prove", err, c.want)
		_, err = c.tree.ProveOlder(3)
		want(t, name+": ProveOlder", err, c.want)
		_, err = c.tree.Frontier()
		want(t, name+": Frontier", err, c.want)
		_, err = c.tree.ReadHashes([]int64{3})
		want(t, name+": ReadHashes", err, c.want)
	}
	tree := newLedger(t, grain).pay(10).tree(10)
	for _, i := range []int64{-1, 10, math.MaxInt64, math.MinInt64} {
		_, err := tree.Prove(i)
		want(t, "an index outside", err, ErrPlace)
		if _, err := tree.ReadHashes([]int64{i - tlog.StoredHashCount(10)}); i < 0 && err == nil {
			t.Errorf("hash %d was found", i)
		}
	}
	for _, n := range []int64{-1, 11, math.MaxInt64, math.MinInt64} {
		_, err := tree.ProveOlder(n)
		want(t, "an older size outside", err, ErrPlace)
	}
	for _, i := range []int64{-1, tlog.StoredHashCount(10), math.MaxInt64} {
		if _, err := tree.ReadHashes([]int64{i}); err == nil {
			t.Errorf("hash %d was found", i)
		}
	}
}

func TestBundles(t *testing.T) {
	var bundle []byte
	var entries [][]byte
	for i := range TileWidth {
		entry := bytes.Repeat([]byte{byte(i)}, i*MaxLeaf/(TileWidth-1)) // from none to the most that there may be
		var err error
		if bundle, err = AppendEntry(bundle, entry); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
		got, err := ParseBundle(bundle, i+1)
		if err != nil || !slices.EqualFunc(got, entries, bytes.Equal) {
			t.Fatalf("%d entries come back as %d: %v", i+1, len(got), err)
		}
	}
	if len(entries[255]) != MaxLeaf {
		t.Errorf("the longest entry is of %d bytes", len(entries[255]))
	}
	_, err := AppendEntry(nil, make([]byte, MaxLeaf+1))
	want(t, "an entry too long", err, ErrMalformed)
	for name, c := range map[string]struct {
		bundle string
		width  int
	}{
		"empty":              {"", 1},
		"too few":            {"\x00\x01a", 2},
		"too many":           {"\x00\x01a\x00\x01b", 1},
		"half a length":      {"\x00\x01a\x00", 2},
		"half an entry":      {"\x00\x01a\x00\x02b", 2},
		"a byte at the end":  {"\x00\x01ab", 1},
		"no width":           {"", 0},
		"a negative width":   {"\x00\x01a", -1},
		"a width too large":  {string(make([]byte, 2*257)), 257},
		"a width of the sky": {"\x00\x01a", math.MaxInt},
	} {
		_, err := ParseBundle([]byte(c.bundle), c.width)
		want(t, name, err, ErrMalformed)
	}
}
